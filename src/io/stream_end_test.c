#include "io/stream_test.h"

static void half_closed_by_the_peer_is_quiet_and_can_send(void **state)
{
	(void)state;
	struct test_side side;
	int peer = connect_side(&side);
	test_peer_send(peer, "last");
	shutdown(peer, SHUT_WR);
	test_run_until(&loop, &side.ends, 1);
	assert_str(buf_str(&side.got), "last");
	test_run_ms(&loop, 50);
	assert_true(loop.wake_ups <= 3);
	char text[8];
	assert_true(io_send(&side.s, STR("reply")));
	assert_int_equal(recv(peer, text, sizeof text, 0), 5);

	/* With both ends shut the system reports a hang-up for ever: not to us.  */
	io_shut(&side.s);
	assert_int_equal(recv(peer, text, sizeof text, 0), 0);
	test_run_ms(&loop, 50);
	assert_true(loop.wake_ups <= 3);
	assert_int_equal(side.ends, 1);
	assert_int_equal(side.deaths, 0);
	close(peer);
	test_side_release(&side);
}

static void half_closed_by_the_peer_still_drains(void **state)
{
	(void)state;
	struct test_side side;
	pthread_t thread;
	int peer = connect_side(&side);
	struct reader reader = {.fd = peer, .wanted = send_until_full(&side.s)};
	shutdown(peer, SHUT_WR);
	test_run_until(&loop, &side.ends, 1);
	test_run_ms(&loop, 50);
	assert_true(loop.wake_ups <= 5);
	assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
	test_run_until(&loop, &side.drains, 1);
	pthread_join(thread, NULL);
	assert_true(reader.right);
	test_run_ms(&loop, 20);
	assert_true(loop.wake_ups <= 3);
	close(peer);
	test_side_release(&side);
}

static void shut_on_both_sides_while_reading_is_off_is_quiet(void **state)
{
	(void)state;
	struct test_side side;
	int peer = connect_side(&side);
	io_read_off(&side.s);
	io_shut(&side.s);
	test_peer_send(peer, "bye");
	shutdown(peer, SHUT_WR);
	test_run_ms(&loop, 50);
	assert_true(loop.wake_ups <= 5);
	assert_int_equal(side.receipts + side.ends + side.deaths, 0);
	io_read_on(&side.s);
	test_run_until(&loop, &side.ends, 1);
	assert_str(buf_str(&side.got), "bye");
	close(peer);
	test_side_release(&side);
}

static void a_reset_is_told_once(void **state)
{
	(void)state;
	for (int reading = 0; reading < 2; reading++) {
		struct test_side side;
		int peer = connect_side(&side);
		if (!reading) io_read_off(&side.s);
		test_peer_reset(peer);
		test_run_until(&loop, &side.deaths, 1);
		assert_int_equal(side.death, ECONNRESET);
		assert_true(io_is_open(&side.s));
		assert_false(io_send(&side.s, STR("x")));
		io_read_on(&side.s);
		test_run_ms(&loop, 30);
		assert_true(loop.wake_ups <= 3);
		assert_int_equal(side.deaths, 1);
		assert_int_equal(side.ends, 0);
		test_side_release(&side);
	}
}

static void a_reset_drops_what_is_kept(void **state)
{
	(void)state;
	for (int reading = 0; reading < 2; reading++) {
		struct test_side side;
		int peer = connect_side(&side);
		if (!reading) io_read_off(&side.s);
		send_until_full(&side.s);
		test_peer_reset(peer);
		test_run_until(&loop, &side.deaths, 1);
		assert_int_equal(side.drains, 0);
		assert_null(side.s.out.ptr);
		test_side_release(&side);
	}
}

static void last_words_come_before_the_death(void **state)
{
	(void)state;
	struct test_side side;
	int peer = connect_side(&side);
	assert_true(io_send(&side.s, STR("never read")));
	test_peer_send(peer, "421 too busy\r\n");
	close(peer); /* with unread input: a reset */
	assert_false(io_send(&side.s, STR("MAIL FROM:<>\r\n")));
	assert_int_equal(side.deaths, 0); /* never from inside a call */
	test_run_until(&loop, &side.deaths, 1);
	assert_str(buf_str(&side.got), "421 too busy\r\n");
	assert_int_equal(side.ends, 0);
	test_side_release(&side);
}

static void a_death_after_fin_is_told_too(void **state)
{
	(void)state;
	struct test_side side;
	int peer = connect_side(&side);
	send_until_full(&side.s);
	shutdown(peer, SHUT_WR);
	test_run_until(&loop, &side.ends, 1);
	test_peer_reset(peer);
	test_run_until(&loop, &side.deaths, 1);
	assert_int_equal(side.ends, 1);
	test_side_release(&side);
}

static void abort_resets(void **state)
{
	(void)state;
	struct test_side side;
	int peer = connect_side(&side);
	char c;
	io_abort(&side.s);
	assert_false(io_is_open(&side.s));
	assert_int_equal(recv(peer, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	io_abort(&side.s);
	io_close(&side.s);
	struct io_stream zeros = {0};
	io_close(&zeros);
	close(peer);
	test_side_release(&side);
}

/* ---- closing inside callbacks ---- */

struct closer {
	struct test_side side; /* first */
	struct closer **all;
	size_t count;
	size_t *told;
};

/* Closes and frees all of them, itself too.  */
static void close_all(struct closer *c)
{
	struct closer **all = c->all;
	size_t count = c->count;
	(*c->told)++;
	for (size_t i = 0; i < count; i++) {
		test_side_release(&all[i]->side);
		free(all[i]);
		all[i] = NULL;
	}
}

static void close_all_received(struct io_stream *s, struct str octets)
{
	(void)octets;
	close_all((struct closer *)CONTAINER_OF(s, struct test_side, s));
}

static void close_all_ended(struct io_stream *s, int error)
{
	(void)error;
	close_all((struct closer *)CONTAINER_OF(s, struct test_side, s));
}

static void close_all_drained(struct io_stream *s)
{
	close_all((struct closer *)CONTAINER_OF(s, struct test_side, s));
}

static const struct io_stream_events closer_events = {
	.received = close_all_received, .drained = close_all_drained, .ended = close_all_ended};

/* All are ready in one wake-up; the first to be told closes all: no other is told.  */
static void check_closing(void (*make_ready)(int peer, struct io_stream *s))
{
	struct closer *all[4];
	int peers[4];
	size_t told = 0;
	for (int i = 0; i < 4; i++) {
		all[i] = calloc(1, sizeof **all);
		assert_non_null(all[i]);
		peers[i] = connect_side(&all[i]->side);
		all[i]->side.s.events = &closer_events;
		all[i]->all = all, all[i]->count = 4, all[i]->told = &told;
	}
	for (int i = 0; i < 4; i++) make_ready(peers[i], &all[i]->side.s);
	test_run_ms(&loop, 20);
	assert_int_equal(told, 1);
	for (int i = 0; i < 4; i++) close(peers[i]);
}

static void ready_to_read(int peer, struct io_stream *s)
{
	(void)s;
	test_peer_send(peer, "x");
}

static void ready_to_end(int peer, struct io_stream *s)
{
	(void)s;
	shutdown(peer, SHUT_WR);
}

static void ready_to_die(int peer, struct io_stream *s)
{
	int copy = dup(peer);
	assert_true(io_send(s, STR("unread")));
	struct sockaddr unspecified = {.sa_family = AF_UNSPEC};
	connect(copy, &unspecified, sizeof unspecified); /* disconnects: a reset */
	close(copy);
	assert_false(io_send(s, STR("x")));
}

/* Room to send what is kept, and input, in one event.  */
static void ready_to_drain(int peer, struct io_stream *s)
{
	static char chunk[64 << 10];
	while (io_unsent(s) == 0) assert_true(io_send(s, str_of(chunk, sizeof chunk)));
	test_peer_send(peer, "x");
	while (recv(peer, chunk, sizeof chunk, MSG_DONTWAIT) > 0) usleep(100);
}

static void a_callback_may_close_everything(void **state)
{
	(void)state;
	check_closing(ready_to_read);
	check_closing(ready_to_end);
	check_closing(ready_to_die);
	check_closing(ready_to_drain);
}

static struct test_side *reused;

static void close_and_reuse(struct io_stream *s, struct str octets)
{
	(void)s, (void)octets;
	int pair[2];
	io_close(&reused->s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	struct io_accepted other = {.fd = pair[0]};
	assert_int_equal(io_accept(loop.io, &reused->s, &test_events, &other), 0);
	io_read_on(&reused->s);
	close(pair[1]);
}

/* An event that came for the old stream is not told to the new one in the same memory.  */
static void memory_may_be_used_again_at_once(void **state)
{
	(void)state;
	struct test_side one, two;
	struct io_stream_events events = {.received = close_and_reuse};
	int a = connect_side(&one), b = connect_side(&two);
	one.s.events = &events;
	two.s.events = &events;
	test_peer_send(a, "x");
	test_peer_send(b, "x");
	reused = &two;
	test_run_until(&loop, &two.ends, 1);
	assert_int_equal(two.receipts, 0);
	test_side_release(&one);
	test_side_release(&two);
	close(a), close(b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(half_closed_by_the_peer_is_quiet_and_can_send),
		TEST(half_closed_by_the_peer_still_drains),
		TEST(shut_on_both_sides_while_reading_is_off_is_quiet),
		TEST(a_reset_is_told_once),
		TEST(a_reset_drops_what_is_kept),
		TEST(last_words_come_before_the_death),
		TEST(a_death_after_fin_is_told_too),
		TEST(abort_resets),
		TEST(a_callback_may_close_everything),
		TEST(memory_may_be_used_again_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
