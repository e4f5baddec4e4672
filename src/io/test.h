/* What the tests of this folder share: a loop that cannot hang and counts its wake-ups, a stream
 * that writes down what it is told, peers made of plain sockets.  */
#ifndef IO_TEST_H
#define IO_TEST_H

#include "base/test.h"
#include "io/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>

struct test_loop {
	struct io *io;
	size_t wake_ups;
	struct io_hook hook;
	struct timer limit;
	bool late;
	const size_t *counter; /* io_run ends when it has come to wanted */
	size_t wanted;
};

static inline void test_loop_hook(struct io_hook *hook)
{
	struct test_loop *l = CONTAINER_OF(hook, struct test_loop, hook);
	l->wake_ups++;
	if (l->counter && *l->counter >= l->wanted) io_stop(l->io);
}

static inline void test_loop_limit(struct timer *timer)
{
	struct test_loop *l = CONTAINER_OF(timer, struct test_loop, limit);
	l->late = true;
	io_stop(l->io);
}

static inline void test_loop_init(struct test_loop *l)
{
	*l = (struct test_loop){
		.io = io_new(), .hook.run = test_loop_hook, .limit.fire = test_loop_limit};
	assert_non_null(l->io);
	io_before_sleep(l->io, &l->hook);
}

static inline void test_run(struct test_loop *l, msec at_most)
{
	l->wake_ups = 0;
	l->late = false;
	io_timer_set(l->io, &l->limit, io_now_us(l->io) / 1000 + at_most);
	io_run(l->io);
	io_timer_cancel(l->io, &l->limit);
}

static inline void test_run_ms(struct test_loop *l, msec ms)
{
	l->counter = NULL;
	test_run(l, ms);
}

/* Run until *counter has come to wanted; fails after five seconds.  */
static inline void test_run_until(struct test_loop *l, const size_t *counter, size_t wanted)
{
	l->counter = counter;
	l->wanted = wanted;
	test_run(l, SECONDS(5));
	l->counter = NULL;
	if (l->late) fail_msg("%zu of %zu after five seconds", *counter, wanted);
}

/* ---- a stream that writes down what it is told ---- */

struct test_side {
	struct io_stream s;
	struct buf got;
	size_t receipts, drains, ends, deaths, connects;
	int death; /* errno of the last */
	int connect_error;
};

static inline void test_received(struct io_stream *s, struct str octets)
{
	struct test_side *side = CONTAINER_OF(s, struct test_side, s);
	assert_true(octets.len > 0);
	assert_true(buf_add(&side->got, octets));
	side->receipts++;
}

static inline void test_drained(struct io_stream *s)
{
	CONTAINER_OF(s, struct test_side, s)->drains++;
}

static inline void test_ended(struct io_stream *s, int error)
{
	struct test_side *side = CONTAINER_OF(s, struct test_side, s);
	if (!error) {
		side->ends++;
		return;
	}
	side->deaths++;
	side->death = error;
}

static inline void test_connected(struct io_stream *s, int error)
{
	struct test_side *side = CONTAINER_OF(s, struct test_side, s);
	side->connects++;
	side->connect_error = error;
}

static const struct io_stream_events test_events = {
	.connected = test_connected,
	.received = test_received,
	.drained = test_drained,
	.ended = test_ended,
};

static inline void test_side_init(struct test_side *side)
{
	*side = (struct test_side){.s.fd = -1};
	buf_init(&side->got, 16 << 20);
}

static inline void test_side_release(struct test_side *side)
{
	io_close(&side->s);
	buf_release(&side->got);
}

/* ---- peers ---- */

static const struct net_address test_loopback = {.family = NET_IPV4, .octets = {127, 0, 0, 1}};

/* A blocking socket that is connected to the address.  */
static inline int test_peer(const struct net_address *to)
{
	struct sockaddr_storage sa;
	socklen_t len = linux_address_to_system(to, &sa);
	int fd = socket(linux_address_family(to), SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

static inline void test_peer_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void test_peer_reset(int fd)
{
	struct linger hard = {.l_onoff = 1};
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
	close(fd);
}

static inline int64_t test_cpu_us(void)
{
	struct rusage use;
	getrusage(RUSAGE_SELF, &use);
	return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 + use.ru_utime.tv_usec +
		use.ru_stime.tv_usec;
}

#endif
