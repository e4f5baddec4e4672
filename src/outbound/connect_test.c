/* The race, in a world of its own: the clock stands until a test moves it, and connects end when a test says so.  */
#include "base/test.h"
#include "outbound/connect.h"

#include <errno.h>
#include <stdlib.h>

enum { TARGETS = 5, TIMEOUT = 30 * 1000 };

struct io {
	struct timers timers;
	msec now;
};

static struct io world;
static struct io_stream *streams[TARGETS]; /* of each target, while it is open */
static uint32_t begun;                     /* connects */
static uint32_t closed;
static int refuse_at_once; /* what io_connect returns */

int io_connect(struct io *io, struct io_stream *s, const struct io_stream_events *events,
	const struct net_address *remote, const struct net_address *local)
{
	assert_null(local);
	begun++;
	if (refuse_at_once) return refuse_at_once;
	*s = (struct io_stream){.events = events, .io = io, .fd = remote->port};
	assert_null(streams[remote->port]);
	streams[remote->port] = s;
	return 0;
}

void io_close(struct io_stream *s)
{
	if (!io_is_open(s)) return;
	assert_ptr_equal(streams[s->fd], s);
	streams[s->fd] = NULL;
	s->fd = -1;
	closed++;
}

void io_read_on(struct io_stream *s) { s->flags = 1; }
msec io_now(const struct io *io) { return io->now; }
int64_t io_now_us(const struct io *io) { return io->now * 1000; }
void io_timer_set(struct io *io, struct timer *timer, msec at)
{
	assert_true(timer_set(&io->timers, timer, at));
}
void io_timer_cancel(struct io *io, struct timer *timer) { timer_cancel(&io->timers, timer); }

static void pass(msec time)
{
	for (msec end = world.now + time; world.now < end; timers_fire(&world.timers, world.now))
		world.now++;
}

static void ends(uint32_t target, int error)
{
	struct io_stream *s = streams[target];
	assert_non_null(s);
	if (error) io_close(s);
	s->events->connected(s, error);
}

/* ---- what the race tells ---- */

static struct connect_race race;
static struct route_target targets[TARGETS];
static uint32_t done_count;
static struct connection *winner;
static int lost_by;
static char told[200]; /* "missed 0 111; outrun 0 250000; " */

static void done(struct connect_race *r, struct connection *c, int error)
{
	assert_ptr_equal(r, &race);
	done_count++;
	winner = c;
	lost_by = error;
}

static void missed(struct connect_race *r, const struct route_target *target, int error)
{
	size_t at = strlen(told);
	snprintf(told + at, sizeof told - at, "missed %d %s; ", (int)(target - r->targets),
		strerrorname_np(error));
}

static void outrun(struct connect_race *r, const struct route_target *target, int64_t us)
{
	size_t at = strlen(told);
	snprintf(
		told + at, sizeof told - at, "outrun %d %d; ", (int)(target - r->targets), (int)us);
}

static void begin(uint32_t count, uint32_t first)
{
	connect_race(&race, &world, targets, count, first, TIMEOUT);
	assert_int_equal(done_count, 0); /* never from inside */
}

static int set_up(void **state)
{
	(void)state;
	world = (struct io){.now = 1000};
	timers_init(&world.timers);
	race = (struct connect_race){.done = done, .missed = missed, .outrun = outrun};
	for (uint16_t i = 0; i < TARGETS; i++)
		targets[i].address = (struct net_address){.family = NET_IPV4, .port = i};
	begun = closed = done_count = 0;
	refuse_at_once = lost_by = 0;
	winner = NULL;
	told[0] = '\0';
	return 0;
}

/* Nothing is left behind.  */
static int tear_down(void **state)
{
	(void)state;
	connection_free(winner);
	for (size_t i = 0; i < TARGETS; i++) assert_null(streams[i]);
	assert_true(timers_next(&world.timers) == MSEC_NEVER);
	timers_release(&world.timers);
	return 0;
}

static void the_first_wins_before_the_second_begins(void **state)
{
	(void)state;
	begin(2, 0);
	pass(249);
	assert_int_equal(begun, 1);
	ends(0, 0);
	assert_int_equal(done_count, 1);
	assert_int_equal(winner->target, 0);
	assert_true(winner->began_us == 1000 * 1000);
	assert_int_equal(race.next, 1);
	pass(TIMEOUT + 1);
	assert_int_equal(begun, 1);
	assert_string_equal(told, "");
}

static void the_winner_changes_hands(void **state)
{
	(void)state;
	static const struct io_stream_events mine;
	begin(1, 0);
	ends(0, 0);
	connection_own(winner, &race, &mine);
	assert_ptr_equal(winner->stream.events, &mine);
	assert_ptr_equal(winner->owner, &race);
	assert_int_equal(winner->stream.flags, 1); /* it is read */
	assert_ptr_equal(connection_of(&winner->stream), winner);
}

static void a_second_begins_a_little_later_and_may_win(void **state)
{
	(void)state;
	begin(3, 0);
	pass(250);
	assert_int_equal(begun, 2);
	pass(10);
	ends(1, 0);
	assert_int_equal(winner->target, 1);
	assert_int_equal(race.next, 2);
	assert_null(streams[0]);
	assert_string_equal(told, "outrun 0 260000; ");
}

static void who_began_later_is_the_next_to_be_tried(void **state)
{
	(void)state;
	begin(3, 0);
	pass(600);
	assert_int_equal(begun, 3);
	ends(0, 0);
	assert_int_equal(winner->target, 0);
	assert_int_equal(race.next, 1);
	assert_string_equal(told, ""); /* they had less time */
}

static void a_failure_lets_the_next_begin_at_once(void **state)
{
	(void)state;
	begin(3, 1);
	ends(1, ECONNREFUSED);
	assert_int_equal(begun, 2);
	assert_int_equal(done_count, 0);
	ends(2, 0);
	assert_int_equal(winner->target, 2);
	assert_string_equal(told, "missed 1 ECONNREFUSED; ");
}

static void all_fail(void **state)
{
	(void)state;
	begin(2, 0);
	ends(0, ECONNREFUSED);
	ends(1, EHOSTUNREACH);
	pass(1);
	assert_int_equal(done_count, 1);
	assert_null(winner);
	assert_int_equal(lost_by, EHOSTUNREACH);
	assert_string_equal(told, "missed 0 ECONNREFUSED; missed 1 EHOSTUNREACH; ");
}

static void none_can_even_begin(void **state)
{
	(void)state;
	refuse_at_once = -ENETUNREACH;
	begin(2, 0);
	pass(1);
	assert_int_equal(begun, 2);
	assert_int_equal(done_count, 1);
	assert_int_equal(lost_by, ENETUNREACH);
	assert_string_equal(told, "missed 0 ENETUNREACH; missed 1 ENETUNREACH; ");
}

static void three_run_at_once_and_a_failure_makes_room(void **state)
{
	(void)state;
	begin(5, 0);
	pass(5000);
	assert_int_equal(begun, 3);
	ends(1, ECONNREFUSED);
	assert_int_equal(begun, 4);
	ends(3, 0);
	assert_int_equal(winner->target, 3);
	assert_int_equal(race.next, 4);
	assert_string_equal(told, "missed 1 ECONNREFUSED; outrun 0 5000000; outrun 2 4500000; ");
}

static void silence_ends_attempts_and_later_targets_get_their_turn(void **state)
{
	(void)state;
	begin(4, 0);
	pass(500 + TIMEOUT - 1);
	assert_int_equal(begun, 3);
	assert_string_equal(told, "");
	pass(1);
	assert_string_equal(told, "missed 0 ETIMEDOUT; missed 1 ETIMEDOUT; missed 2 ETIMEDOUT; ");
	assert_int_equal(begun, 4);
	assert_int_equal(done_count, 0);
	pass(TIMEOUT);
	assert_int_equal(done_count, 1);
	assert_null(winner);
	assert_int_equal(lost_by, ETIMEDOUT);
}

static void a_race_may_be_given_up(void **state)
{
	(void)state;
	begin(3, 0);
	pass(300);
	connect_race_cancel(&race);
	assert_int_equal(closed, 2);
	connect_race_cancel(&race); /* harmless */
	pass(2 * TIMEOUT);
	assert_int_equal(begun, 2);
	assert_int_equal(done_count, 0);
	assert_string_equal(told, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		TEST(the_first_wins_before_the_second_begins),
		TEST(the_winner_changes_hands),
		TEST(a_second_begins_a_little_later_and_may_win),
		TEST(who_began_later_is_the_next_to_be_tried),
		TEST(a_failure_lets_the_next_begin_at_once),
		TEST(all_fail),
		TEST(none_can_even_begin),
		TEST(three_run_at_once_and_a_failure_makes_room),
		TEST(silence_ends_attempts_and_later_targets_get_their_turn),
		TEST(a_race_may_be_given_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
