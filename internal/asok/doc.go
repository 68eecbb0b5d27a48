// Package asok is the admin socket of a process: a unix socket on which a person
// or a program asks a running process what it is doing, and the client that
// asks. It speaks the protocol of Ceph's daemons, so that their tools can ask
// our processes and ours theirs. It knows help, version, status and
// get_command_descriptions; whoever has more to tell registers a Command.
//
//	client                             server
//	  {"prefix":"perf dump"} NUL  ──▶
//	                             ◀──   length, 4 bytes big-endian; the answer
//
// One request a connection. A newline ends a request, too, and instead of an
// object it may be bare words: "perf dump". An answer is JSON, or text; that of
// a request that failed begins with "ERROR: (errno) ".
//
// Invariants:
//
//	A1  The socket of a living process is never removed, nor is anything that is
//	    no socket. Who looks, removes and binds holds a lock on the directory.
//	A2  Nobody is listened to but root and the user the process runs as. That is
//	    asked of the kernel before a byte is read.
//	A3  A client costs at most MaxRequest bytes and one goroutine, MaxConns of
//	    them at once, for a limited time; its words are not parsed before they
//	    are all there, and an argument that was not declared is refused.
//	A4  Close returns when no goroutine is left, and its socket is gone.
//
// The directory has mode 0700, the socket 0660 from its first moment.
//
// Locks: Server.mu guards commands and connections and is held across neither I/O
// nor commands. Listen starts the goroutine that accepts, which starts one for
// each client; Close ends them. Nothing here is durable: what a killed process
// leaves, the next one in its directory removes.
package asok
