/* The Linux side of io.h: the loop's own struct and what the files of this folder share.  No other
 * folder includes it.  */
#ifndef IO_LINUX_H
#define IO_LINUX_H

#include "io/io.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
	LINUX_EVENTS = 256,               /* taken from epoll at once */
	LINUX_RECEIVE = 256 << 10,        /* octets of the one receive buffer */
	LINUX_MMAP_THRESHOLD = 512 << 10, /* octets; larger allocations are mapped */
};

/* What an epoll event is about: kept in the low bits of the object's address.  */
enum linux_kind { LINUX_STREAM, LINUX_LISTENER, LINUX_WATCH, LINUX_WAKE, LINUX_KIND_MASK = 3 };

struct io {
	int epoll;
	int wake;    /* eventfd, edge-triggered, so that nobody has to read it */
	int warden;  /* the socket of who starts programs; -1: we do (warden.h) */
	int reserve; /* given up for a moment to turn a client away when descriptors are out */
	bool running;
	bool stopping;
	msec now;
	struct timers timers;
	struct list hooks;
	struct list fallen;        /* streams whose death is still to be told */
	struct list starving;      /* listeners that have not accepted since their last pause */
	struct io_workers *parked; /* has a short work that waits for the end of this wake-up */
	const void *current;       /* whose event is being told; NULL once it is closed */
	char *receive;

	pthread_mutex_t lock; /* of posts and their `posted` */
	struct list posts;
	atomic_bool asleep; /* a post has to write to `wake` */

	int ready; /* events of this wake-up */
	int at;    /* the one being told */
	struct epoll_event events[LINUX_EVENTS];
};

/* Watch fd for object (its address is a multiple of 4).  0 or -errno.  */
int MUST_CHECK linux_poll_add(
	struct io *io, int fd, const void *object, enum linux_kind kind, uint32_t events);
int MUST_CHECK linux_poll_change(
	struct io *io, int fd, const void *object, enum linux_kind kind, uint32_t events);
/* Also drops what came for object in this wake-up and was not told yet.  */
void linux_poll_remove(struct io *io, int fd, const void *object);
/* object is closed: tell nothing of it any more.  Closing fd ends the polling.  */
void linux_forget(struct io *io, const void *object);

/* Move all of from into to, so that what is added meanwhile waits for the next round.  */
static inline void linux_take_all(struct list *from, struct list *to)
{
	list_init(to);
	if (list_empty(from)) return;
	list_push_back(from, to); /* to takes the place of the head */
	list_remove(from);
}

void linux_stream_event(struct io_stream *s, uint32_t events);
/* Tell the streams in io->fallen.  */
void linux_streams_fallen(struct io *io);
void linux_listener_event(struct io_listener *l);
/* Run what other threads have posted.  */
void linux_posts_run(struct io *io);
bool linux_posts_waiting(struct io *io);

/* Settle the parked work: on this thread, or (busy) handed to its workers.  */
void linux_parked_run(struct io *io);
void linux_parked_hand_over(struct io *io);

/* Returns the length; 0 when there is no such socket address (a path too long, no family).  */
socklen_t linux_address_to_system(const struct net_address *a, struct sockaddr_storage *ret);
/* A path is not kept: it becomes "".  */
void linux_address_from_system(const struct sockaddr_storage *from, struct net_address *ret);
int linux_address_family(const struct net_address *a);

/* Sync the directory that holds path's last name.  0 or -errno.  */
int MUST_CHECK linux_sync_parent(const char *path);
/* What that directory is.  0 or -errno.  */
int MUST_CHECK linux_stat_parent(const char *path, struct stat *ret);

#endif
