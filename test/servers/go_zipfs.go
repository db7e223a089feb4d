// SPDX-License-Identifier: LGPL-2.1-or-later

// go_zipfs ARCHIVE MOUNTPOINT: a server as Go programs are, on the library that most of them use and on the archives
// that this library shows. It knows nothing of services, and mounts by fusermount3.
package main

import (
	"log"
	"os"

	"github.com/hanwen/go-fuse/fs"
	"github.com/hanwen/go-fuse/zipfs"
)

func main() {
	root, err := zipfs.NewArchiveFileSystem(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server, err := fs.Mount(os.Args[2], root, &fs.Options{})
	if err != nil {
		log.Fatal(err)
	}
	server.Wait()
}
