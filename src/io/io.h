/* The only window on the world: time, entropy, timers, streams, work on other threads, signals.
 * (Files are in io/file.h.)  Two implementations exist and are chosen at link time: Linux (this
 * folder) and the simulator (sim/).
 *
 * One `struct io` is one loop on one thread; every function here is called on that thread unless it
 * says otherwise, and every callback comes on it, from io_run, never from inside a call of the
 * caller's.  Objects (stream, listener, timer, work, watch) are the caller's memory, one outstanding
 * use each; after a close or cancel returns, no callback of that object comes any more.  A callback
 * may close and free its own object.  */
#ifndef IO_IO_H
#define IO_IO_H

#include "base/list.h"
#include "base/net.h"
#include "base/timer.h"

struct io;

/* NULL with errno set when the system refuses.  Standard Linux loop; the simulator makes its own.  */
struct io *io_new(void);
void io_free(struct io *io);
/* Serve until io_stop; io_stop may be called from any callback.  */
void io_run(struct io *io);
void io_stop(struct io *io);

/* ---- time and entropy ---- */

/* Monotonic, read once per wake-up.  */
msec io_now(const struct io *io);
/* Since 1970.  */
msec io_wall(const struct io *io);
/* For latencies that milliseconds cannot show; monotonic microseconds, read at each call.  */
int64_t io_now_us(const struct io *io);
void io_random(struct io *io, void *octets, size_t len);

/* ---- timers ---- */

/* As timer_set; a process with no memory for a timer ends (nothing would end its waits).  */
void io_timer_set(struct io *io, struct timer *timer, msec at);
void io_timer_cancel(struct io *io, struct timer *timer);

/* ---- hooks: run once after each batch of events, before the loop sleeps ---- */

struct io_hook {
	struct list link;
	void (*run)(struct io_hook *hook);
};
/* In the order of their adding.  Removing: list_remove(&hook->link).  */
void io_before_sleep(struct io *io, struct io_hook *hook);

/* ---- streams: TCP or local sockets ---- */

struct io_stream;

struct io_stream_events {
	/* io_connect has ended: error 0, or an errno.  After an error the stream is closed.  */
	void (*connected)(struct io_stream *s, int error);
	/* Octets came; borrowed for the call, never empty, all must be taken or kept by the callee.
	 * Not called while reading is off.  */
	void (*received)(struct io_stream *s, struct str octets);
	/* All that io_send had to keep has gone.  */
	void (*drained)(struct io_stream *s);
	/* error 0: the peer sent its FIN (sending may still work); else an errno (ECONNRESET, EPIPE):
	 * the stream is dead.  Each at most once, the errno last: what is kept or sent after the FIN
	 * may still find the peer gone.  The owner still has to call io_close.  Seen also while
	 * reading is off if the error is a reset.  */
	void (*ended)(struct io_stream *s, int error);
};

struct io_stream {
	const struct io_stream_events *events;
	struct io *io;
	int fd;           /* implementation's; -1 when closed */
	uint32_t flags;   /* implementation's */
	struct buf out;   /* what the system has not taken yet; no memory while empty */
	struct list link; /* implementation's */
};

/* Most octets that io_send keeps for a peer that does not read.  */
enum { IO_OUT_MAX = 1 << 20 };

/* Begin to connect; `connected` tells.  Reading is off until io_read_on.  local: NULL, or the source
 * address.  Returns 0 or -errno (then nothing was begun).  */
int MUST_CHECK io_connect(struct io *io, struct io_stream *s, const struct io_stream_events *events,
	const struct net_address *remote, const struct net_address *local);
/* Take over a connection that a listener accepted.  Reading is off until io_read_on.  0 or -errno
 * (then the connection is closed).  */
struct io_accepted;
int MUST_CHECK io_accept(struct io *io, struct io_stream *s, const struct io_stream_events *events,
	const struct io_accepted *accepted);

/* Let `received` come, or not.  Cheap: within one wake-up off and on cost no system call.  */
void io_read_on(struct io_stream *s);
/* See io_read_on.  */
void io_read_off(struct io_stream *s);

/* Send now what the system takes, keep the rest.  False: the stream is dead, or more than
 * IO_OUT_MAX would have to be kept (then nothing was taken).  octets are borrowed for the call.  */
bool MUST_CHECK io_send(struct io_stream *s, struct str octets);
/* Octets kept and not yet taken by the system.  */
static inline size_t io_unsent(const struct io_stream *s) { return s->out.len; }

/* Send FIN after what is kept; reading goes on.  */
void io_shut(struct io_stream *s);
/* Close at once; what is kept is dropped, the memory goes.  Harmless on a closed stream.  */
void io_close(struct io_stream *s);
/* Close so that the peer sees a reset instead of an orderly end.  */
void io_abort(struct io_stream *s);
/* A stream of zeros is a closed one.  */
static inline bool io_is_open(const struct io_stream *s) { return s->io && s->fd >= 0; }
void io_local_address(const struct io_stream *s, struct net_address *ret_address);

/* ---- listeners ---- */

struct io_accepted {
	int fd;
	struct net_address peer;
};

struct io_listener {
	/* A client came.  The callee takes it with io_accept or refuses it with io_refuse.  */
	void (*accepted)(struct io_listener *l, const struct io_accepted *accepted);
	/* No descriptor, or no memory, for a client (errno).  Accepting pauses by itself for a
	 * while and goes on; told once per pause.  May be NULL.  */
	void (*starved)(struct io_listener *l, int error);
	struct io *io;
	int fd;
	struct timer pause;
	struct list link;
};

/* Bind and listen (SO_REUSEADDR; a stale local socket is replaced, mode 0600).  events fields must
 * be set.  0 or -errno.  ret_bound (may be NULL): with the port that was chosen for port 0.  */
int MUST_CHECK io_listen(struct io *io, struct io_listener *l, const struct net_address *address,
	struct net_address *ret_bound);
void io_listener_close(struct io_listener *l);
/* Send octets (best effort, at most 512) and close: for a client that is one too many.  */
void io_refuse(struct io *io, const struct io_accepted *accepted, struct str octets);

/* ---- work on another thread ---- */

/* Threads that run work in the order given; started at once.  NULL when the system refuses.  */
struct io_workers;
struct io_workers *io_workers_start(struct io *io, unsigned threads, const char *name);
/* The same, and the loop goes first: for work that comes in floods, or that nobody waits for.  */
struct io_workers *io_workers_start_low(struct io *io, unsigned threads, const char *name);
/* Ends when all work given has been run; its `done` comes before this returns.  */
void io_workers_stop(struct io_workers *workers);

struct io_work {
	/* On a worker thread: may block and use io/file.h, nothing of the loop's.  */
	void (*run)(struct io_work *work);
	/* On the loop's thread, afterwards.  */
	void (*done)(struct io_work *work);
	struct list link; /* implementation's */
};
/* Give work to the workers; it belongs to them until `done`.  */
void io_work(struct io_workers *workers, struct io_work *work);
/* The same where the work is short (one small write and sync): when the loop has nothing else to do it
 * may run on the loop's own thread, before it sleeps, which saves two thread switches.  */
void io_work_short(struct io_workers *workers, struct io_work *work);

/* ---- descriptors of libraries (libunbound, libcurl) ---- */

struct io_watch {
	void (*ready)(struct io_watch *watch); /* readable, or an error to be found by reading */
	int fd;
	struct io *io;
};
int MUST_CHECK io_watch(struct io *io, struct io_watch *watch, int fd);
void io_unwatch(struct io_watch *watch);

/* ---- other threads and the process ---- */

/* A call from any thread into the loop: `run` comes once on the loop's thread for one or more
 * posts since its last run.  */
struct io_post {
	void (*run)(struct io_post *post);
	struct io *io;
	struct list link;
	bool posted;
};
void io_post_init(struct io *io, struct io_post *post, void (*run)(struct io_post *post));
void io_post(struct io_post *post);
/* On the loop's thread, when no other thread will post it any more.  */
void io_post_cancel(struct io_post *post);

/* Signals as events: SIGTERM, SIGINT, SIGHUP (blocked for the whole process); SIGPIPE is ignored.
 * Call before any thread starts.  */
struct io_signals {
	void (*came)(struct io_signals *signals, int number);
	struct io_watch watch;
};
int MUST_CHECK io_signals(struct io *io, struct io_signals *signals);
/* Say `state` ("READY=1") to $NOTIFY_SOCKET, if there is one (sd_notify(3)).  */
void io_notify(struct str state);
/* Write to standard error, whole, from any thread.  */
void io_stderr(struct str octets);
/* Raise the limit of descriptors to its hard maximum; returns it.  */
size_t io_raise_descriptors(void);
/* Give freed memory back to the system: after a peak has passed.  */
void io_trim_memory(void);
/* This machine's name as the resolver completes it; "localhost" when there is none.  */
void io_hostname(struct buf *out);
/* The addresses of this machine's interfaces, port 0; how many of them were written, at most max.  */
uint32_t io_interfaces(struct net_address *ret, uint32_t max);
/* Resolve a host name or address by the system's rules (blocks: for `listen` and the command line).
 * Returns how many were found (at most max), or a negative errno.  */
int io_resolve(const char *host, uint16_t port, struct net_address *ret, int max);

#endif
