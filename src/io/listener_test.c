#include "io/test.h"

#include <sys/stat.h>

static struct test_loop loop;

/* A listener that keeps, refuses or closes at its clients.  */
struct door {
	struct io_listener l;
	struct net_address bound;
	struct test_side *sides; /* take the clients, in order */
	size_t clients;
	struct io_accepted last;
	const char *refusal;
	bool close_at_first;
	size_t starved;
	int starved_error;
	size_t most_in_a_wake_up, wake_up, in_wake_up;
};

static void accepted(struct io_listener *l, const struct io_accepted *client)
{
	struct door *door = CONTAINER_OF(l, struct door, l);
	door->last = *client;
	if (door->wake_up != loop.wake_ups) door->in_wake_up = 0;
	door->wake_up = loop.wake_ups;
	door->in_wake_up++;
	if (door->most_in_a_wake_up < door->in_wake_up) door->most_in_a_wake_up = door->in_wake_up;
	struct test_side *side = &door->sides[door->clients++];
	if (door->refusal) {
		io_refuse(l->io, client, str_from_c(door->refusal));
		return;
	}
	test_side_init(side);
	assert_int_equal(io_accept(l->io, &side->s, &test_events, client), 0);
	io_read_on(&side->s);
	if (door->close_at_first) io_listener_close(l);
}

static void starved(struct io_listener *l, int error)
{
	struct door *door = CONTAINER_OF(l, struct door, l);
	door->starved++;
	door->starved_error = error;
}

static int open_door(struct door *door, const struct net_address *address)
{
	*door = (struct door){.l = {.accepted = accepted, .starved = starved}};
	door->sides = calloc(256, sizeof *door->sides);
	assert_non_null(door->sides);
	return io_listen(loop.io, &door->l, address, &door->bound);
}

static void close_door(struct door *door)
{
	for (size_t i = 0; i < door->clients; i++) test_side_release(&door->sides[i]);
	free(door->sides);
	io_listener_close(&door->l);
}

static int setup(void **state)
{
	(void)state;
	test_loop_init(&loop);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	io_free(loop.io);
	return 0;
}

/* ---- accepting ---- */

static void a_crowd_comes_in_parts(void **state)
{
	(void)state;
	struct door door;
	int peers[200];
	assert_int_equal(open_door(&door, &test_loopback), 0);
	assert_true(door.bound.port > 0);
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) peers[i] = test_peer(&door.bound);
	test_run_until(&loop, &door.clients, ARRAY_LEN(peers));
	assert_int_equal(door.most_in_a_wake_up, 64);
	assert_true(net_is_loopback(&door.last.peer));
	assert_true(door.last.peer.port > 0);
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) close(peers[i]);
	close_door(&door);
}

static void both_families_share_a_port(void **state)
{
	(void)state;
	struct door four, six;
	struct net_address any6 = {.family = NET_IPV6}, to6 = {.family = NET_IPV6, .octets[15] = 1};
	struct net_address any4 = {.family = NET_IPV4}, to4 = test_loopback;
	assert_int_equal(open_door(&six, &any6), 0);
	any4.port = to4.port = to6.port = six.bound.port;
	assert_int_equal(open_door(&four, &any4), 0);
	int peer4 = test_peer(&to4), peer6 = test_peer(&to6);
	test_run_until(&loop, &four.clients, 1);
	test_run_until(&loop, &six.clients, 1);
	assert_int_equal(four.last.peer.family, NET_IPV4);
	assert_int_equal(six.last.peer.family, NET_IPV6);
	struct door third;
	assert_int_equal(open_door(&third, &any4), -EADDRINUSE);
	assert_int_equal(third.l.fd, -1);
	close_door(&third);
	close(peer4), close(peer6);
	close_door(&four);
	close_door(&six);
}

static void accepted_sockets_do_not_wait_to_send(void **state)
{
	(void)state;
	struct door door;
	assert_int_equal(open_door(&door, &test_loopback), 0);
	int peer = test_peer(&door.bound), on = 0;
	socklen_t len = sizeof on;
	test_run_until(&loop, &door.clients, 1);
	getsockopt(door.sides[0].s.fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, &len);
	assert_int_equal(on, 1);
	assert_true(fcntl(door.sides[0].s.fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(door.sides[0].s.fd, F_GETFD) & FD_CLOEXEC);
	close(peer);
	close_door(&door);
}

static void one_too_many_is_told_so(void **state)
{
	(void)state;
	struct door door;
	static char text[700], got[1024];
	memset(text, '4', sizeof text - 1);
	assert_int_equal(open_door(&door, &test_loopback), 0);
	door.refusal = "421 4.3.2 too many connections\r\n";
	int peer = test_peer(&door.bound);
	test_run_until(&loop, &door.clients, 1);
	ssize_t n = recv(peer, got, sizeof got, MSG_WAITALL);
	assert_true(n > 0);
	assert_str(str_of(got, (size_t)n), door.refusal);
	close(peer);
	door.refusal = text;
	peer = test_peer(&door.bound);
	test_run_until(&loop, &door.clients, 2);
	assert_int_equal(recv(peer, got, sizeof got, MSG_WAITALL), 512);
	close(peer);
	door.clients = 0;
	close_door(&door);
}

static void a_listener_may_close_at_a_client(void **state)
{
	(void)state;
	struct door door;
	assert_int_equal(open_door(&door, &test_loopback), 0);
	door.close_at_first = true;
	int one = test_peer(&door.bound), two = test_peer(&door.bound);
	test_run_ms(&loop, 10);
	assert_int_equal(door.clients, 1);
	assert_int_equal(door.starved, 0); /* nobody asked the closed descriptor */
	io_listener_close(&door.l);
	struct io_listener zeros = {0};
	io_listener_close(&zeros);
	close(one), close(two);
	close_door(&door);
}

/* ---- local sockets ---- */

static void local_sockets_replace_the_stale_only(void **state)
{
	(void)state;
	char path[64];
	struct stat st;
	struct door door, second;
	snprintf(path, sizeof path, "/tmp/rockdove-listener-test-%d", (int)getpid());
	struct net_address address = {.family = NET_UNIX, .path = path};
	assert_int_equal(open_door(&door, &address), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_string_equal(door.bound.path, path);
	int peer = test_peer(&address);
	test_run_until(&loop, &door.clients, 1);
	assert_int_equal(door.last.peer.family, NET_UNIX);
	close(peer);

	assert_int_equal(open_door(&second, &address), -EADDRINUSE); /* it answers */
	close_door(&second);
	close_door(&door);
	assert_int_equal(open_door(&second, &address), 0); /* nobody behind it */
	close_door(&second);
	unlink(path);

	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(open_door(&second, &address), -EADDRINUSE); /* somebody's file */
	close_door(&second);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);

	char longer[200];
	memset(longer, 'x', sizeof longer);
	longer[sizeof longer - 1] = 0;
	address.path = longer;
	assert_int_equal(open_door(&second, &address), -EINVAL);
	close_door(&second);
}

/* ---- no descriptors ---- */

enum { WAITING = 6 };

/* Sends to a session every few milliseconds, as proof that it is still served.  */
struct ticker {
	struct timer timer;
	int peer;
};

static void tick(struct timer *timer)
{
	struct ticker *t = CONTAINER_OF(timer, struct ticker, timer);
	test_peer_send(t->peer, "x");
	io_timer_set(loop.io, timer, io_now(loop.io) + 5);
}

static size_t count_closed(const int *peers, size_t count)
{
	size_t closed = 0;
	char c;
	for (size_t i = 0; i < count; i++) closed += recv(peers[i], &c, 1, MSG_DONTWAIT) == 0;
	return closed;
}

static void without_descriptors_accepting_pauses_and_sessions_go_on(void **state)
{
	(void)state;
	struct door door;
	struct rlimit before, few;
	int peers[WAITING];
	assert_int_equal(open_door(&door, &test_loopback), 0);
	struct ticker ticker = {.timer.fire = tick, .peer = test_peer(&door.bound)};
	test_run_until(&loop, &door.clients, 1);
	for (int i = 0; i < WAITING; i++) peers[i] = test_peer(&door.bound);
	getrlimit(RLIMIT_NOFILE, &before);
	few = (struct rlimit){(rlim_t)peers[WAITING - 1] + 1, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);

	io_timer_set(loop.io, &ticker.timer, io_now(loop.io));
	int64_t cpu = test_cpu_us();
	test_run_ms(&loop, 350); /* starves at 0, 100, 200 and 300 */
	cpu = test_cpu_us() - cpu;
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(door.clients, 1);
	assert_int_equal(door.starved_error, EMFILE);
	assert_true(door.starved >= 2 && door.starved <= 4);
	assert_true(loop.wake_ups < 200);
	assert_true(cpu < 200000);
	assert_true(door.sides[0].got.len >= 20);
	/* The first pause turns nobody away, each further one client.  */
	size_t turned_away = count_closed(peers, WAITING);
	assert_int_equal(turned_away, door.starved - 1);

	io_timer_cancel(loop.io, &ticker.timer);
	test_run_until(&loop, &door.clients, 1 + WAITING - turned_away);
	assert_int_equal(count_closed(peers, WAITING), turned_away);
	for (int i = 0; i < WAITING; i++) close(peers[i]);
	close(ticker.peer);
	close_door(&door);
}

static void a_paused_listener_may_close(void **state)
{
	(void)state;
	struct door door;
	struct rlimit before, few;
	assert_int_equal(open_door(&door, &test_loopback), 0);
	int peer = test_peer(&door.bound);
	getrlimit(RLIMIT_NOFILE, &before);
	few = (struct rlimit){(rlim_t)peer + 1, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	test_run_until(&loop, &door.starved, 1);
	setrlimit(RLIMIT_NOFILE, &before);
	close_door(&door);
	test_run_ms(&loop, 150);
	assert_true(loop.wake_ups <= 3);
	close(peer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_crowd_comes_in_parts),
		TEST(both_families_share_a_port),
		TEST(accepted_sockets_do_not_wait_to_send),
		TEST(one_too_many_is_told_so),
		TEST(a_listener_may_close_at_a_client),
		TEST(local_sockets_replace_the_stale_only),
		TEST(without_descriptors_accepting_pauses_and_sessions_go_on),
		TEST(a_paused_listener_may_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
