// Package stores runs private Redis, Postgres and Kafka servers for `onsale
// demo`, `onsale stores` and the tests: Redis and Postgres as child processes,
// Kafka inside our own process. Each is a lifecycle.Part, listens on loopback
// alone, and keeps everything it has in one folder.
//
// What a server acknowledged is there again at the next Start on the same folder,
// a kill -9 of us, of it or of both included. Redis alone forgets everything,
// unless AppendOnly is set: then a kill -9 of it can take its last two seconds.
//
// A child never outlives us (internal/leash), is never stopped by the Ctrl-C that is
// meant for us (it has a process group of its own), and one that survived all
// the same is ended before a new one starts in its folder. A Part therefore
// expects to be alone in its folder: hold a Lock on the folder above it.
package stores
