/* The spool against a simple model: random steps, all invariants after each, everything compared
 * again and again, also with what a start from a copy of the files finds.  */
#define SPOOL_TEST_FAULTS
#include "spool/test.h"

enum { SEGMENT = 64 << 10, MOST = 120, ENDED = 4000, TEXT = 32 };

struct model_recipient {
	enum recipient_state state; /* as on disk */
	uint32_t due;
	uint32_t attempts;
	char reason[TEXT];
};

struct model_message {
	uint64_t id;
	uint64_t size;
	uint32_t count, open;
	bool told;
	struct model_recipient recipients[4];
};

struct model {
	struct bench b;
	struct rng rng;
	struct model_message live[MOST];
	uint32_t count;
	uint64_t ended[ENDED]; /* the last ones */
	uint64_t ended_count;
	uint32_t number;
	bool faults;
	struct {
		uint64_t moved, reopened, copied, accepted, failed;
	} seen;
};

static uint64_t below(struct model *m, uint64_t n) { return rng_below(&m->rng, n); }

/* ---- comparing ---- */

static void compare_reason(struct spool *s, slot recipient, const struct model_recipient *want)
{
	struct arena arena;
	struct outcome o;
	arena_init(&arena, 1 << 20);
	bool has = spool_reason(s, recipient, &arena, &o);
	assert_int_equal(has, want->reason[0] != 0);
	if (has) assert_str(o.text, want->reason);
	arena_release(&arena);
}

static void compare_message(struct model *m, struct bench *b, const struct model_message *want)
{
	const struct spool_index *x = spool_index(b->spool);
	slot s = spool_find(x, want->id);
	assert_int_not_equal(s, 0);
	const struct spool_message *got = spool_message(x, s);
	assert_int_equal(got->open, want->open);
	assert_int_equal((got->flags & SPOOL_MESSAGE_DELAY_TOLD) != 0, want->told);
	assert_int_equal(got->tag, (uint32_t)want->size);
	slot t = got->recipients;
	for (uint32_t i = 0; i < want->count; i++) {
		const struct spool_recipient *r = spool_recipient(x, t);
		const struct model_recipient *w = &want->recipients[i];
		assert_int_equal(state_on_disk(r), w->state);
		assert_int_equal(r->attempts, w->attempts);
		if (w->state != RECIPIENT_DONE) {
			assert_int_equal(r->due, w->due);
			compare_reason(b->spool, t, w);
		}
		t = r->sibling;
	}
	assert_int_equal(t, 0);
	if (below(m, 4) == 0) assert_int_equal(bench_read(b, s, want->size), 0);
}

/* For whoever has to find out why: the files stay.  */
static void tell_back(struct bench *b, slot back, bool itself)
{
	const struct spool_message *x = spool_message(spool_index(b->spool), back);
	print_error("%s: message %lu is back, from segment %u, offset %u\n", b->path, x->id,
		(unsigned)x->segment, message_offset(b->spool, x) * RECORD_ALIGN);
	if (!itself) print_error("it was found in a copy\n");
}

static void compare_all(struct model *m, struct bench *b)
{
	spool_check(b->spool);
	assert_int_equal(spool_message_count(spool_index(b->spool)), m->count);
	for (uint32_t i = 0; i < m->count; i++) compare_message(m, b, &m->live[i]);
	for (uint64_t i = 0; i < m->ended_count && i < ENDED; i++) {
		slot back = spool_find(spool_index(b->spool), m->ended[i]);
		if (back) tell_back(b, back, b == &m->b);
		assert_int_equal(back, 0);
	}
}

/* ---- steps ---- */

static void step_accept(struct model *m)
{
	struct bench_message one;
	if (m->count == MOST) return;
	uint32_t count = 1 + (uint32_t)below(m, 4);
	if (below(m, 2)) count = 1;
	uint64_t size = below(m, 20) == 0 ? below(m, 60000) : below(m, 4000);
	if (bench_submit(&m->b, &one, count, size)) return;
	assert_true(bench_wait(&m->b, &one.done, 10000));
	if (one.error) {
		m->ended[m->ended_count++ % ENDED] = one.id;
		m->seen.failed++;
		return;
	}
	struct model_message *to = &m->live[m->count++];
	*to = (struct model_message){.id = one.id, .size = size, .count = count, .open = count};
	for (uint32_t i = 0; i < count; i++)
		to->recipients[i] = (struct model_recipient){
			.state = RECIPIENT_DUE, .due = (uint32_t)(spool_created(one.id) / 1000)};
	m->seen.accepted++;
}

static void end_in_model(struct model *m, uint32_t at)
{
	m->ended[m->ended_count++ % ENDED] = m->live[at].id;
	m->live[at] = m->live[--m->count];
}

static struct model_message *any_message(
	struct model *m, uint32_t *ret_at, uint32_t *ret_recipient, slot *ret_slot)
{
	if (m->count == 0) return NULL;
	*ret_at = (uint32_t)below(m, m->count);
	struct model_message *one = &m->live[*ret_at];
	do *ret_recipient = (uint32_t)below(m, one->count);
	while (one->recipients[*ret_recipient].state == RECIPIENT_DONE);
	*ret_slot = bench_recipient(
		&m->b, spool_find(spool_index(m->b.spool), one->id), *ret_recipient);
	return one;
}

static void step_outcome(struct model *m, bool final)
{
	uint32_t at, recipient;
	slot s;
	struct model_message *one = any_message(m, &at, &recipient, &s);
	if (!one) return;
	struct model_recipient *r = &one->recipients[recipient];
	char text[TEXT];
	snprintf(text, sizeof(text), "reason %u", m->number++);
	struct outcome o = bench_outcome(final ? OUTCOME_DELIVERED : OUTCOME_DEFERRED, text);
	uint32_t due = (uint32_t)below(m, 1u << 31);
	bool ended = spool_outcome(m->b.spool, s, &o, due);
	r->attempts++;
	if (!final) {
		r->state = RECIPIENT_DUE;
		r->due = due;
		memcpy(r->reason, text, sizeof(text));
		return;
	}
	r->state = RECIPIENT_DONE;
	one->open--;
	assert_int_equal(ended, one->open == 0);
	if (ended) end_in_model(m, at);
}

static void step_change(struct model *m)
{
	uint32_t at, recipient;
	slot s;
	struct model_message *one = any_message(m, &at, &recipient, &s);
	if (!one) return;
	struct model_recipient *r = &one->recipients[recipient];
	if (below(m, 3) == 0) {
		spool_delay_told(m->b.spool, spool_find(spool_index(m->b.spool), one->id));
		one->told = true;
	} else if (below(m, 2)) {
		r->state = below(m, 2) ? RECIPIENT_HELD : RECIPIENT_DUE;
		spool_hold(m->b.spool, s, r->state == RECIPIENT_HELD);
	} else {
		r->due = (uint32_t)below(m, 1u << 31);
		spool_set_due(m->b.spool, s, r->due);
	}
}

static void count_seen(struct model *m)
{
	struct spool_stats stats;
	spool_stats(m->b.spool, &stats);
	m->seen.moved += stats.moved_messages;
}

static void print_log(struct bench *b)
{
	log_flush(&b->log);
	print_error("%.*s\n", (int)b->told.len, b->told.ptr);
}

/* The disk fails for a while; what waits leaves when it is well again.  */
static void step_fault(struct model *m)
{
	if (!m->faults) return;
	fault.sync_after = (int)below(m, 3);
	if (below(m, 3) == 0)
		fault.write_error = below(m, 2) ? EIO : ENOSPC;
	else
		fault.sync_error = EIO;
	for (uint64_t n = below(m, 6); n > 0; n--) {
		step_accept(m);
		step_outcome(m, below(m, 2));
		spool_check(m->b.spool);
		bench_run(&m->b, below(m, 5));
	}
	no_faults();
	bench_sync(&m->b);
}

static void step_reopen(struct model *m)
{
	count_seen(m);
	bench_close(&m->b);
	bench_open(&m->b);
	m->b.spool->health_ms = 3;
	if (m->b.report.damaged_records || m->b.report.torn_tails) print_log(&m->b);
	assert_int_equal(m->b.report.damaged_records, 0);
	assert_int_equal(m->b.report.torn_tails, 0);
	compare_all(m, &m->b);
	m->seen.reopened++;
}

static void copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY);
	if (in < 0) return; /* a free one has just been removed */
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(out >= 0);
	char octets[SEGMENT];
	for (ssize_t n; (n = read(in, octets, sizeof(octets))) > 0;)
		assert_int_equal(write(out, octets, (size_t)n), n);
	close(in);
	close(out);
}

static void copy_directory(const char *from, const char *to)
{
	DIR *dir = opendir(from);
	for (struct dirent *e; (e = readdir(dir));) {
		char a[512], b[512];
		uint32_t number;
		if (!segment_name_parse(e->d_name, &number)) continue;
		snprintf(a, sizeof(a), "%s/%s", from, e->d_name);
		snprintf(b, sizeof(b), "%s/%s", to, e->d_name);
		copy_file(a, b);
	}
	closedir(dir);
}

/* As after a crash: everything is synced, nothing was closed; the maker may be half done with a
 * file.  */
static void step_copy(struct model *m)
{
	struct bench other;
	bench_sync(&m->b);
	bench_init(&other, SEGMENT);
	copy_directory(m->b.path, other.path);
	bench_open(&other);
	if (other.report.damaged_records) print_log(&other);
	assert_int_equal(other.report.damaged_records, 0);
	compare_all(m, &other);
	/* And once more after it has begun to work: what it writes must agree with what it
	 * found.  */
	bench_run(&other, below(m, 30) + 1);
	compare_all(m, &other);
	bench_close(&other);
	bench_open(&other);
	compare_all(m, &other);
	bench_end(&other);
	m->seen.copied++;
}

static void step(struct model *m)
{
	switch (below(m, 24)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
	case 6: step_accept(m); break;
	case 7:
	case 8:
	case 9:
	case 10:
	case 11:
	case 12:
	case 13:
	case 14: step_outcome(m, true); break;
	case 15:
	case 16:
	case 17: step_outcome(m, false); break;
	case 18:
	case 19:
	case 20: step_change(m); break;
	case 21: bench_run(&m->b, below(m, 4)); break;
	case 22:
		if (below(m, 8) == 0)
			bench_run(&m->b, 40);
		else
			bench_sync(&m->b);
		break;
	default:
		if (below(m, 4) == 0) step_fault(m);
		if (below(m, 8) == 0)
			step_reopen(m);
		else if (below(m, 8) == 0)
			step_copy(m);
	}
	spool_check(m->b.spool);
}

static void run(uint64_t seed, uint32_t steps, bool faults)
{
	struct model *m = calloc(1, sizeof(*m));
	m->faults = faults;
	rng_init(&m->rng, seed);
	bench_init(&m->b, SEGMENT);
	bench_open(&m->b);
	m->b.spool->health_ms = 3;
	for (uint32_t i = 0; i < steps; i++) step(m);
	compare_all(m, &m->b);
	while (m->count > 0) step_outcome(m, true);
	step_reopen(m);
	bench_sync(&m->b);
	count_seen(m);
	print_message("seed %lu: %lu accepted, %lu failed, %lu moved, %lu reopened, %lu copied\n",
		seed, m->seen.accepted, m->seen.failed, m->seen.moved, m->seen.reopened,
		m->seen.copied);
	assert_true(m->seen.failed > 0 || !faults || steps < 1000);
	assert_true(m->seen.moved > 0 || steps < 1000);
	/* With nothing alive the log shrinks to almost nothing.  */
	for (int i = 0; i < 30; i++) {
		bench_run(&m->b, 20);
		bench_sync(&m->b);
	}
	struct spool_stats stats;
	spool_stats(m->b.spool, &stats);
	assert_true(stats.octets_log <= 3 * SEGMENT);
	assert_int_equal(stats.octets_live, 0);
	bench_end(&m->b);
	free(m);
}

static void agrees_with_the_model(void **state)
{
	(void)state;
	const char *seed = getenv("MODEL_SEED"), *steps = getenv("MODEL_STEPS");
	uint32_t n = steps ? (uint32_t)strtoul(steps, NULL, 10) : 1500;
	if (seed) return run(strtoul(seed, NULL, 10), n, false);
	for (uint64_t i = 1; i <= 3; i++) run(i, n, false);
}

static void agrees_on_a_failing_disk(void **state)
{
	(void)state;
	const char *seed = getenv("MODEL_SEED"), *steps = getenv("MODEL_STEPS");
	uint32_t n = steps ? (uint32_t)strtoul(steps, NULL, 10) : 1500;
	if (seed) return run(strtoul(seed, NULL, 10), n, true);
	for (uint64_t i = 1; i <= 3; i++) run(i, n, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_model),
		cmocka_unit_test(agrees_on_a_failing_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
