// SPDX-License-Identifier: LGPL-2.1-or-later

// go_zipfs ARCHIVE MOUNTPOINT: a server with go-fuse, the library that most servers in Go use, for the archives that
// the library can read. It has no support for services, and mounts with fusermount3.
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
