# SPDX-License-Identifier: LGPL-2.1-or-later
"""A scheduler of pytest-xdist that goes on with the other tests after a process has crashed.

That of pytest-xdist 3.1, --dist=loadgroup, gives the test that crashed to the next process, and one test to the process that
replaces it, which waits for a second one without end.
"""

from xdist.scheduler import LoadGroupScheduling

ENOUGH_TESTS = 2  # a process starts a test when it knows the next one


class Scheduler(LoadGroupScheduling):
    def remove_node(self, node):
        """Take back the tests of a process that has ended. Return the test that it was running, or None."""
        units = self.assigned_work.pop(node)
        pending = [(scope, name) for scope, unit in units.items() for name, done in unit.items() if not done]
        if not pending:
            return None
        scope, crashed = pending[0]
        units[scope][crashed] = True
        self.workqueue.update({scope: unit for scope, unit in units.items() if not all(unit.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return crashed

    def _reschedule(self, node):
        if node.shutting_down or node not in self.registered_collections:
            return
        while self.workqueue and self._pending_of(self.assigned_work[node]) <= ENOUGH_TESTS:
            self._assign_work_unit(node)
        if not self.workqueue:
            node.shutdown()
