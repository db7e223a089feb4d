/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An empty program: common/meson.build links it with each folder of common/. */
int main(void)
{
	return 0;
}
