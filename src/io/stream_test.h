/* What the tests of streams share: a listener in the same loop whose clients become sides.  */
#ifndef IO_STREAM_TEST_H
#define IO_STREAM_TEST_H

#include "io/test.h"

static struct test_loop loop;
static struct io_listener listener;
static struct net_address bound;
static struct test_side *next_side; /* takes the next client */
static size_t clients;

static inline void accepted(struct io_listener *l, const struct io_accepted *client)
{
	assert_int_equal(io_accept(l->io, &next_side->s, &test_events, client), 0);
	clients++;
}

static inline void set_up_at(const struct net_address *address)
{
	test_loop_init(&loop);
	listener = (struct io_listener){.accepted = accepted};
	clients = 0;
	assert_int_equal(io_listen(loop.io, &listener, address, &bound), 0);
}

static inline int setup(void **state)
{
	(void)state;
	set_up_at(&test_loopback);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	io_listener_close(&listener);
	io_free(loop.io);
	return 0;
}

/* A client that side has accepted, reading.  */
static inline int connect_side(struct test_side *side)
{
	test_side_init(side);
	next_side = side;
	int peer = test_peer(&bound);
	test_run_until(&loop, &clients, clients + 1);
	io_read_on(&side->s);
	return peer;
}

static inline void fill(char *at, size_t len, size_t offset)
{
	for (size_t i = 0; i < len; i++) at[i] = (char)((offset + i) % 251);
}

/* Send until the stream takes no more; returns how much it took.  */
static inline size_t send_until_full(struct io_stream *s)
{
	static char chunk[64 << 10];
	for (size_t total = 0;; total += sizeof chunk) {
		fill(chunk, sizeof chunk, total);
		size_t kept = io_unsent(s);
		if (!io_send(s, str_of(chunk, sizeof chunk))) {
			assert_int_equal(io_unsent(s), kept);
			return total;
		}
		assert_true(io_unsent(s) <= IO_OUT_MAX);
	}
}

struct reader {
	int fd;
	size_t wanted;
	bool right;
};

static inline void *read_slowly(void *argument)
{
	struct reader *r = argument;
	static char chunk[100000];
	r->right = true;
	for (size_t total = 0; total < r->wanted;) {
		ssize_t n = recv(r->fd, chunk, sizeof chunk, 0);
		if (n <= 0) return r->right = false, NULL;
		for (size_t i = 0; i < (size_t)n; i++)
			if ((unsigned char)chunk[i] != (total + i) % 251) r->right = false;
		total += (size_t)n;
	}
	return NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
