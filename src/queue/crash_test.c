/* The queue on the real spool, and killed at the worst moments: a failure is told at least
 * once.  */
#include "queue/state.h"

#include "spool/test.h"

#include <sys/wait.h>

struct server {
	struct bench b;
	struct route_table table;
	struct route_rule star;
	struct queue_options options;
	struct queue *q;
	struct destination *ready;
	bool accepted;
	struct spool_writer writer;
	struct spool_op op;
	struct recipient to;
	struct envelope envelope;
};

static void ready(void *context, struct destination *d) { ((struct server *)context)->ready = d; }

static void link_one(void *context, slot recipient, struct str domain)
{
	queue_recovered(((struct server *)context)->q, recipient, domain);
}

/* path: of a server that was killed; NULL: a new one.  */
static void start(struct server *v, const char *path)
{
	memset(v, 0, sizeof(*v));
	bench_init(&v->b, 256 << 10);
	if (path) {
		rmdir(v->b.path);
		snprintf(v->b.path, sizeof(v->b.path), "%s", path);
	}
	v->b.options.outcome_delay = 60000;
	bench_open(&v->b);
	v->star = (struct route_rule){.name = STR("*"), .kind = ROUTE_MX, .connections = 20};
	route_table_init(&v->table, 1);
	assert_true(route_table_add(&v->table, &v->star));
	v->options = (struct queue_options){.retry = {MINUTES(1)},
		.retry_count = 1,
		.lifetime = DAYS(5),
		.hostname = STR("mx.example.com")};
	struct queue_drivers drivers = {.ready = ready, .context = v};
	v->q = queue_new(v->b.spool, NULL, &v->options, &v->table, &drivers, 1, &v->b.log);
	spool_each_recovered(v->b.spool, link_one, v);
	queue_run(v->q, io_now(v->b.io), io_wall(v->b.io));
	queue_check(v->q);
}

static void stop(struct server *v)
{
	queue_check(v->q);
	spool_check(v->b.spool);
	queue_free(v->q);
	route_table_release(&v->table);
	bench_end(&v->b);
}

static void committed(struct spool_op *op, int error)
{
	struct server *v = CONTAINER_OF(op, struct server, op);
	assert_int_equal(error, 0);
	v->accepted = true;
	queue_accepted(
		v->q, spool_committed(&v->writer), &v->envelope, io_now(v->b.io), io_wall(v->b.io));
}

static void accept_one(struct server *v, uint8_t notify)
{
	v->to = (struct recipient){.address = STR("bob@b.example"), .notify = notify};
	v->envelope = (struct envelope){.reverse_path = STR("alice@a.example"),
		.recipients = &v->to,
		.recipient_count = 1,
		.created = io_wall(v->b.io)};
	assert_int_equal(spool_begin(v->b.spool, &v->writer, bench_resumed), 0);
	assert_int_equal(spool_write(&v->writer, STR("Subject: x\r\n\r\nbody\r\n")), SPOOL_TAKEN);
	v->op = (struct spool_op){.done = committed};
	spool_commit(&v->writer, &v->envelope, queue_tag(v->envelope.reverse_path), &v->op);
	assert_true(bench_wait(&v->b, &v->accepted, 10000));
}

/* An attempt on whatever is ready for b.example.  Returns jobs.  */
static uint32_t attempt(struct server *v, enum outcome_class class)
{
	struct map_node *node = map_find(&v->q->keys, STR("b.example"));
	uint32_t jobs = 0;
	if (!node) return 0;
	struct destination *d = CONTAINER_OF(node, struct destination, node);
	for (struct queue_job *job; (job = queue_take(v->q, d, 100, io_now(v->b.io))); jobs++) {
		struct outcome o = outcome_local(
			class, class == OUTCOME_FAILED ? "5.7.1" : "2.0.0", STR("rejected"));
		queue_finish(v->q, job, &o, io_now(v->b.io), io_wall(v->b.io));
	}
	return jobs;
}

static void wait_for_bounce(struct server *v)
{
	for (int i = 0; i < 2000 && v->q->stats.bounces == 0; i++) bench_run(&v->b, 1);
	assert_int_equal(v->q->stats.bounces, 1);
}

enum kill { KILL_BEFORE_COMMIT, KILL_AFTER_COMMIT, KILL_AFTER_OUTCOME };

/* In a process of its own, which ends without a farewell.  */
static void live_and_die(const char *path, enum kill when, enum outcome_class class, uint8_t notify)
{
	struct server v;
	start(&v, path);
	accept_one(&v, notify);
	if (attempt(&v, class) != 1) _exit(1);
	if (when >= KILL_AFTER_COMMIT) wait_for_bounce(&v);
	if (when >= KILL_AFTER_COMMIT) bench_run(&v.b, 5); /* the outcome is noted */
	if (when >= KILL_AFTER_OUTCOME) bench_sync(&v.b);
	_exit(0);
}

static uint32_t count_dsns(struct server *v)
{
	uint32_t count = 0;
	for (slot at = 1; at < spool_message_end(v->q->index); at++) {
		struct spool_reader r;
		if (spool_message(v->q->index, at)->id == 0) continue;
		assert_int_equal(spool_read_open(v->b.spool, at, &r), 0);
		count += (r.envelope.flags & ENVELOPE_DSN) != 0;
		spool_read_close(&r);
	}
	return count;
}

static void a_kill_makes_one_dsn(void **state)
{
	(void)state;
	static const struct {
		enum kill when;
		uint32_t attempts, dsns;
	} cases[] = {
		{KILL_BEFORE_COMMIT, 1, 1}, {KILL_AFTER_COMMIT, 0, 1}, {KILL_AFTER_OUTCOME, 0, 1}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char path[] = "/tmp/queue-test-XXXXXX";
		assert_non_null(mkdtemp(path));
		pid_t child = fork();
		if (child == 0) live_and_die(path, cases[i].when, OUTCOME_FAILED, 0);
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);

		struct server v;
		start(&v, path);
		assert_int_equal(attempt(&v, OUTCOME_FAILED), cases[i].attempts);
		if (cases[i].attempts) wait_for_bounce(&v);
		assert_int_equal(count_dsns(&v), cases[i].dsns);
		assert_int_equal(spool_message_count(v.q->index),
			cases[i].dsns); /* the message itself has ended */
		stop(&v);
	}
}

/* Leaving in good order in the middle of a bounce: whatever spool_close did, nothing is lost
 * at the next start.  */
static void an_orderly_stop_keeps_the_dsn(void **state)
{
	(void)state;
	char path[] = "/tmp/queue-test-XXXXXX";
	assert_non_null(mkdtemp(path));
	struct server v;
	start(&v, path);
	accept_one(&v, 0);
	assert_int_equal(attempt(&v, OUTCOME_FAILED), 1);
	spool_close(v.b.spool);
	v.b.spool = NULL;
	queue_free(v.q);
	route_table_release(&v.table);
	log_release(&v.b.log);
	buf_release(&v.b.told);
	io_free(v.b.io);

	start(&v, path);
	if (attempt(&v, OUTCOME_FAILED)) wait_for_bounce(&v);
	assert_in_range(count_dsns(&v), 1, 2);
	stop(&v);
}

static void held_and_deferred_mail_survives(void **state)
{
	(void)state;
	struct server v;
	char path[64];
	start(&v, NULL);
	accept_one(&v, 0);
	slot message = spool_recipient(v.q->index, 1)->message;
	assert_int_equal(attempt(&v, OUTCOME_DEFERRED), 1);
	assert_true(queue_act(v.q, spool_message(v.q->index, message)->recipients, QUEUE_HOLD,
		io_now(v.b.io), io_wall(v.b.io)));
	snprintf(path, sizeof(path), "%s", v.b.path);
	bench_close(&v.b);
	queue_free(v.q);
	route_table_release(&v.table);
	log_release(&v.b.log);
	buf_release(&v.b.told);
	io_free(v.b.io);

	start(&v, path);
	assert_int_equal(attempt(&v, OUTCOME_DELIVERED), 0);
	struct arena arena;
	arena_init(&arena, 1 << 16);
	struct queue_view view;
	slot recipient = 1;
	assert_true(queue_act(v.q, recipient, QUEUE_RELEASE, io_now(v.b.io), io_wall(v.b.io)));
	queue_view(v.q, recipient, &arena, io_now(v.b.io), io_wall(v.b.io), &view);
	assert_str(view.reason, "rejected");
	assert_int_equal(view.attempts, 1);
	assert_in_range(view.next_attempt - io_wall(v.b.io), 40000, 67000);
	assert_true(queue_act(v.q, recipient, QUEUE_RETRY, io_now(v.b.io), io_wall(v.b.io)));
	assert_int_equal(attempt(&v, OUTCOME_DELIVERED), 1);
	assert_int_equal(spool_message_count(v.q->index), 0);
	arena_release(&arena);
	stop(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kill_makes_one_dsn),
		cmocka_unit_test(an_orderly_stop_keeps_the_dsn),
		cmocka_unit_test(held_and_deferred_mail_survives),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
