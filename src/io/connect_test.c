#include "io/stream_test.h"

static void connects(void **state)
{
	(void)state;
	struct test_side client, server;
	test_side_init(&client);
	test_side_init(&server);
	next_side = &server;
	struct net_address local = test_loopback, seen;
	local.octets[3] = 2;
	assert_int_equal(io_connect(loop.io, &client.s, &test_events, &bound, &local), 0);
	assert_int_equal(client.connects, 0); /* never from inside the call */
	assert_true(io_send(&client.s, STR("early")));
	test_run_until(&loop, &clients, 1);
	io_read_on(&server.s);
	test_run_until(&loop, &server.receipts, 1);
	assert_int_equal(client.connects, 1);
	assert_int_equal(client.connect_error, 0);
	assert_str(buf_str(&server.got), "early");
	io_local_address(&client.s, &seen);
	assert_true(net_same_host(&seen, &local));
	assert_true(io_send(&server.s, STR("220")));
	io_read_on(&client.s);
	test_run_until(&loop, &client.receipts, 1);
	io_close(&client.s);
	test_run_until(&loop, &server.ends, 1);
	test_side_release(&client);
	test_side_release(&server);
}

static void a_refused_connect_is_told_and_closed(void **state)
{
	(void)state;
	struct test_side client;
	test_side_init(&client);
	io_listener_close(&listener);
	int error = io_connect(loop.io, &client.s, &test_events, &bound, NULL);
	assert_int_equal(error, 0);
	test_run_until(&loop, &client.connects, 1);
	assert_int_equal(client.connect_error, ECONNREFUSED);
	assert_false(io_is_open(&client.s));
	test_side_release(&client);
}

static void a_connect_that_cannot_begin_leaves_nothing(void **state)
{
	(void)state;
	struct test_side client;
	test_side_init(&client);
	struct net_address nowhere = {.family = NET_NONE};
	struct net_address foreign = {.family = NET_IPV4, .octets = {192, 0, 2, 1}};
	struct net_address gone = {.family = NET_UNIX, .path = "/nonexistent/socket"};
	assert_true(io_connect(loop.io, &client.s, &test_events, &nowhere, NULL) < 0);
	assert_false(io_is_open(&client.s));
	assert_int_equal(
		io_connect(loop.io, &client.s, &test_events, &bound, &foreign), -EADDRNOTAVAIL);
	assert_false(io_is_open(&client.s));
	assert_int_equal(io_connect(loop.io, &client.s, &test_events, &gone, NULL), -ENOENT);
	assert_false(io_is_open(&client.s));
	test_run_ms(&loop, 5);
	assert_int_equal(client.connects, 0);
	test_side_release(&client);
}

static void a_connect_may_be_given_up(void **state)
{
	(void)state;
	struct test_side client, server;
	test_side_init(&client);
	test_side_init(&server);
	next_side = &server;
	assert_int_equal(io_connect(loop.io, &client.s, &test_events, &bound, NULL), 0);
	io_close(&client.s);
	test_run_ms(&loop, 5);
	assert_int_equal(client.connects, 0);
	test_side_release(&client);
	test_side_release(&server);
}

static void local_sockets_are_streams_too(void **state)
{
	(void)state;
	char path[64];
	snprintf(path, sizeof path, "/tmp/rockdove-stream-test-%d", (int)getpid());
	struct net_address address = {.family = NET_UNIX, .path = path};
	struct test_side client, server;
	test_side_init(&client);
	test_side_init(&server);
	next_side = &server;
	set_up_at(&address);
	assert_int_equal(io_connect(loop.io, &client.s, &test_events, &address, NULL), 0);
	test_run_until(&loop, &client.connects, 1);
	assert_int_equal(client.connect_error, 0);
	test_run_until(&loop, &clients, 1);
	io_read_on(&server.s);
	assert_true(io_send(&client.s, STR("queue list")));
	io_close(&client.s);
	test_run_until(&loop, &server.ends, 1);
	assert_str(buf_str(&server.got), "queue list");
	test_run_ms(&loop, 30);
	assert_true(loop.wake_ups <= 3); /* though the system reports a hang-up */
	assert_false(io_send(&server.s, STR("too late")));
	test_run_until(&loop, &server.deaths, 1);
	assert_int_equal(server.death, EPIPE);
	test_side_release(&client);
	test_side_release(&server);
	teardown(NULL);
	unlink(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(connects),
		TEST(a_refused_connect_is_told_and_closed),
		TEST(a_connect_that_cannot_begin_leaves_nothing),
		TEST(a_connect_may_be_given_up),
		cmocka_unit_test(local_sockets_are_streams_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
