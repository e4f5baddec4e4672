#include "io/stream_test.h"

/* ---- reading ---- */

static void octets_come_as_they_are_split(void **state)
{
	(void)state;
	struct test_side side;
	static const char text[] = "EHLO client.example\r\nQUIT\r\n";
	int peer = connect_side(&side);
	for (size_t i = 0; text[i]; i++) {
		assert_int_equal(send(peer, text + i, 1, 0), 1);
		test_run_until(&loop, &side.receipts, i + 1);
	}
	assert_str(buf_str(&side.got), text);
	close(peer);
	test_run_until(&loop, &side.ends, 1);
	test_side_release(&side);
}

static void *send_much(void *argument)
{
	static char text[4 << 20];
	int peer = *(int *)argument;
	fill(text, sizeof text, 0);
	for (size_t at = 0; at < sizeof text;) {
		ssize_t n = send(peer, text + at, sizeof text - at, MSG_NOSIGNAL);
		if (n <= 0) break;
		at += (size_t)n;
	}
	return NULL;
}

static void much_comes_whole_a_buffer_at_a_time(void **state)
{
	(void)state;
	struct test_side side;
	pthread_t thread;
	int peer = connect_side(&side);
	assert_int_equal(pthread_create(&thread, NULL, send_much, &peer), 0);
	test_run_until(&loop, &side.got.len, 4 << 20);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < side.got.len; i++)
		if ((unsigned char)side.got.ptr[i] != i % 251) fail_msg("octet %zu is wrong", i);
	assert_true(side.receipts >= (4 << 20) / LINUX_RECEIVE);
	assert_true(side.receipts <= loop.wake_ups); /* others get their turn in between */
	close(peer);
	test_side_release(&side);
}

static void nothing_is_told_while_reading_is_off(void **state)
{
	(void)state;
	struct test_side side;
	int peer = connect_side(&side);
	io_read_off(&side.s);
	test_peer_send(peer, "early");
	close(peer); /* not even the end, which is orderly */
	test_run_ms(&loop, 50);
	assert_int_equal(side.receipts + side.ends + side.deaths, 0);
	assert_true(loop.wake_ups <= 5);
	io_read_on(&side.s);
	test_run_until(&loop, &side.ends, 1);
	assert_str(buf_str(&side.got), "early");
	test_side_release(&side);
}

static void off_and_on_within_a_wake_up_changes_nothing(void **state)
{
	(void)state;
	struct test_side side;
	int peer = connect_side(&side);
	uint32_t before = side.s.flags;
	for (int i = 0; i < 10; i++) {
		io_read_off(&side.s);
		io_read_on(&side.s);
	}
	assert_int_equal(side.s.flags, before);
	test_peer_send(peer, "x");
	test_run_until(&loop, &side.receipts, 1);
	close(peer);
	test_side_release(&side);
}

/* ---- sending ---- */

static void a_peer_that_does_not_read_fills_us_and_drains_us(void **state)
{
	(void)state;
	struct test_side side;
	pthread_t thread;
	int peer = connect_side(&side);
	assert_null(side.s.out.ptr);
	struct reader reader = {.fd = peer, .wanted = send_until_full(&side.s)};
	assert_true(io_unsent(&side.s) > IO_OUT_MAX - (64 << 10));
	test_run_ms(&loop, 50);
	assert_int_equal(side.drains, 0);
	assert_true(loop.wake_ups <= 5); /* being full is quiet */

	test_peer_send(peer, "still heard");
	test_run_until(&loop, &side.receipts, 1);
	assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
	test_run_until(&loop, &side.drains, 1);
	assert_int_equal(io_unsent(&side.s), 0);
	assert_null(side.s.out.ptr); /* no memory while empty */
	pthread_join(thread, NULL);
	assert_true(reader.right);

	test_run_ms(&loop, 20);
	assert_int_equal(side.drains, 1);
	assert_true(loop.wake_ups <= 3);
	assert_true(io_send(&side.s, STR("again")));
	assert_int_equal(io_unsent(&side.s), 0);
	close(peer);
	test_side_release(&side);
}

static void more_than_the_maximum_is_refused_whole(void **state)
{
	(void)state;
	struct test_side side;
	static char huge[IO_OUT_MAX + 1];
	int peer = connect_side(&side);
	assert_false(io_send(&side.s, str_of(huge, sizeof huge)));
	assert_int_equal(io_unsent(&side.s), 0);
	assert_int_equal(recv(peer, huge, sizeof huge, MSG_DONTWAIT), -1);
	assert_true(io_send(&side.s, STR("")));
	assert_true(io_send(&side.s, STR("ok")));
	assert_int_equal(recv(peer, huge, sizeof huge, 0), 2);
	close(peer);
	test_side_release(&side);
}

static void fin_follows_what_is_kept(void **state)
{
	(void)state;
	struct test_side side;
	pthread_t thread;
	int peer = connect_side(&side);
	struct reader reader = {.fd = peer, .wanted = send_until_full(&side.s)};
	io_shut(&side.s);
	assert_false(io_send(&side.s, STR("too late")));
	assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
	test_run_until(&loop, &side.drains, 1);
	pthread_join(thread, NULL);
	assert_true(reader.right);
	char c;
	assert_int_equal(recv(peer, &c, 1, 0), 0);
	test_peer_send(peer, "answer"); /* reading goes on */
	test_run_until(&loop, &side.receipts, 1);
	close(peer);
	test_run_until(&loop, &side.ends, 1);
	test_side_release(&side);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(octets_come_as_they_are_split),
		TEST(much_comes_whole_a_buffer_at_a_time),
		TEST(nothing_is_told_while_reading_is_off),
		TEST(off_and_on_within_a_wake_up_changes_nothing),
		TEST(a_peer_that_does_not_read_fills_us_and_drains_us),
		TEST(more_than_the_maximum_is_refused_whole),
		TEST(fin_follows_what_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
