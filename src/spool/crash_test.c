/* What a start finds after a crash that tears the last batch, and after damage anywhere.  A
 * history is written once and remembered after each batch; then the files are put back as they
 * were at one of those moments, spoilt in one way, and opened.  Damage costs what it hits and
 * nothing else; nothing is ever garbled.  */
#include "spool/test.h"

enum { SEGMENT = 64 << 10, STEPS = 260, MESSAGES = 200, FILES = 64, SECTOR = 512 };

struct kept_recipient {
	uint8_t state, attempts;
	uint32_t due;
};

struct kept { /* a message as it was at a moment */
	uint64_t id;
	uint64_t size;
	uint32_t count;
	bool ended, told;
	struct kept_recipient recipients[4];
};

struct moment { /* after a batch was synced */
	uint32_t segment;
	uint64_t end;
	uint32_t count;
	struct kept messages[MESSAGES];
};

struct history_of {
	struct bench b;
	struct rng rng;
	struct kept messages[MESSAGES];
	uint32_t count;
	struct moment moments[STEPS];
	uint32_t moment_count;
	char *files[FILES]; /* the final content */
	uint64_t salts[FILES];
	uint32_t file_count; /* one past the highest number */
};

static uint64_t below(struct history_of *h, uint64_t n) { return rng_below(&h->rng, n); }

/* ---- the history ---- */

static void remember(struct history_of *h)
{
	bench_sync(&h->b);
	const struct segment *g = h->b.spool->open;
	struct segments *all = &h->b.spool->segments;
	for (uint32_t i = 1; i < all->top; i++)
		if (all->at[i])
			all->at[i]->keep = true; /* the files only grow: a moment is a prefix */
	assert_non_null(g);
	assert_true(h->moment_count < STEPS);
	struct moment *at = &h->moments[h->moment_count++];
	at->segment = g->number;
	at->end = g->end;
	at->count = h->count;
	memcpy(at->messages, h->messages, sizeof(h->messages));
}

static void do_accept(struct history_of *h)
{
	struct bench_message m;
	if (h->count == MESSAGES) return;
	uint64_t size = below(h, 12) == 0 ? 9000 + below(h, 12000) : below(h, 1500);
	uint32_t count = 1 + (uint32_t)below(h, 3);
	bench_accept(&h->b, &m, count, size);
	struct kept *k = &h->messages[h->count++];
	*k = (struct kept){.id = m.id, .size = size, .count = count};
	for (uint32_t i = 0; i < count; i++)
		k->recipients[i] = (struct kept_recipient){
			RECIPIENT_DUE, 0, (uint32_t)(spool_created(m.id) / 1000)};
}

static void do_outcome(struct history_of *h)
{
	if (h->count == 0) return;
	struct kept *k = &h->messages[below(h, h->count)];
	uint32_t i = (uint32_t)below(h, k->count);
	if (k->ended || k->recipients[i].state == RECIPIENT_DONE) return;
	bool final = below(h, 4) == 0;
	struct outcome o =
		bench_outcome(final ? OUTCOME_DELIVERED : OUTCOME_DEFERRED, "come again");
	slot r = bench_recipient(&h->b, spool_find(spool_index(h->b.spool), k->id), i);
	uint32_t due = (uint32_t)below(h, 1u << 30);
	k->ended = spool_outcome(h->b.spool, r, &o, due);
	k->recipients[i].attempts++;
	k->recipients[i].state = final ? RECIPIENT_DONE : RECIPIENT_DUE;
	if (!final) k->recipients[i].due = due;
}

static char *load_file(const char *path, uint32_t number)
{
	char name[512], *octets = calloc(1, SEGMENT);
	snprintf(name, sizeof(name), "%s/log-%06u", path, number);
	int fd = open(name, O_RDONLY);
	if (fd < 0) {
		free(octets);
		return NULL;
	}
	assert_true(read(fd, octets, SEGMENT) >= 0);
	close(fd);
	return octets;
}

static void make_history(struct history_of *h, uint64_t seed)
{
	rng_init(&h->rng, seed);
	bench_init(&h->b, SEGMENT);
	bench_open(&h->b);
	while (h->count < 100) {
		do_accept(h);
		remember(h);
		uint64_t n = below(h, 3);
		if (n == 0) continue;
		for (; n > 0; n--) do_outcome(h);
		remember(h);
	}
	remember(h);
	struct spool_stats stats;
	spool_stats(h->b.spool, &stats);
	assert_int_equal(stats.moved_messages, 0);
	h->file_count = h->b.spool->segments.top;
	assert_true(h->file_count < FILES && h->file_count > 5);
	for (uint32_t i = 1; i < h->file_count; i++) {
		const struct segment *g = spool_segment(h->b.spool, i);
		h->files[i] = load_file(h->b.path, i);
		h->salts[i] = g && g->generation ? g->salt : 0;
	}
	bench_close(&h->b);
}

static void free_history(struct history_of *h)
{
	for (uint32_t i = 1; i < h->file_count; i++) free(h->files[i]);
	bench_end(&h->b);
	free(h);
}

/* ---- putting files back ---- */

static void put_file(const struct history_of *h, uint32_t number, const char *octets, uint64_t len)
{
	char name[512];
	snprintf(name, sizeof(name), "%s/log-%06u", h->b.path, number);
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, len), len);
	close(fd);
}

/* A segment opened before the one of a moment was then complete; a later one still blank.  Numbers
 * are given out in order here, as nothing is freed.  */
static bool is_before(const struct history_of *h, uint32_t number, const struct moment *at)
{
	for (const struct moment *m = h->moments; m < at; m++)
		if (m->segment == number && number != at->segment) return true;
	return false;
}

static void put_moment(struct history_of *h, const struct moment *at, char spare[SEGMENT])
{
	static const char blank[SEGMENT];
	bench_clear_directory(h->b.path);
	for (uint32_t i = 1; i < h->file_count; i++) {
		if (!h->files[i] || i == at->segment) continue;
		put_file(h, i, is_before(h, i, at) ? h->files[i] : blank, SEGMENT);
	}
	memset(spare, 0, SEGMENT);
	memcpy(spare, h->files[at->segment], at->end);
}

/* ---- comparing ---- */

static bool is_like(struct history_of *h, const struct kept *k)
{
	const struct spool_index *x = spool_index(h->b.spool);
	slot s = spool_find(x, k->id);
	if (k->ended || !s) return k->ended == (s == 0);
	slot t = spool_message(x, s)->recipients;
	for (uint32_t i = 0; i < k->count; i++) {
		const struct spool_recipient *r = spool_recipient(x, t);
		const struct kept_recipient *w = &k->recipients[i];
		if (r->state != w->state || r->attempts != w->attempts) return false;
		if (w->state != RECIPIENT_DONE && r->due != w->due) return false;
		t = r->sibling;
	}
	return bench_read(&h->b, s, k->size) == 0;
}

/* Whatever is there reads back as it was written, or says that it is damaged.  */
static void assert_nothing_garbled(struct history_of *h)
{
	const struct spool_index *x = spool_index(h->b.spool);
	for (slot s = 1; s < spool_message_end(x); s++) {
		uint64_t id = spool_message(x, s)->id;
		if (id == 0) continue;
		const struct kept *k = NULL;
		for (uint32_t i = 0; i < h->count; i++)
			if (h->messages[i].id == id) k = &h->messages[i];
		assert_non_null(k);
		int error = bench_read(&h->b, s, k->size);
		assert_true(error == 0 || error == -EBADMSG);
	}
}

/* ---- torn batches ---- */

/* Between this moment and the next the log was written on; some sectors of that reached the
 * disk.  */
static void tear(struct history_of *h, const struct moment *at, char spare[SEGMENT])
{
	const char *whole = h->files[at->segment];
	uint64_t until = at + 1 < h->moments + h->moment_count && at[1].segment == at->segment
		? at[1].end
		: at->end + 4096;
	if (until > SEGMENT) until = SEGMENT;
	uint64_t kind = below(h, 3), cut = at->end + below(h, until - at->end + 1);
	for (uint64_t i = at->end; i < until; i += SECTOR) {
		bool there = kind == 0 ? i < cut : kind == 1 ? i >= cut : below(h, 2) == 0;
		if (there) memcpy(spare + i, whole + i, SECTOR);
	}
}

static void check_torn(struct history_of *h, uint32_t nth)
{
	const struct moment *at = &h->moments[nth];
	char *spare = malloc(SEGMENT);
	put_moment(h, at, spare);
	bool torn = below(h, 4) > 0;
	if (torn) tear(h, at, spare);
	put_file(h, at->segment, spare, SEGMENT);
	free(spare);
	for (int round = 0; round < 2; round++) {
		bench_open(&h->b);
		spool_check(h->b.spool);
		assert_int_equal(h->b.report.damaged_records, 0);
		const struct moment *next = torn && nth + 1 < h->moment_count ? at + 1 : at;
		for (uint32_t i = 0; i < at->count; i++)
			/* What was in the torn batch may have got through, or not; more than one
			 * batch may lie in it.  */
			if (!is_like(h, &at->messages[i]) &&
				!(torn &&
					memcmp(&at->messages[i], &next->messages[i],
						sizeof(struct kept))))
				fail_msg("message %u at moment %u", i, nth);
		assert_nothing_garbled(h);
		bench_close(&h->b);
	}
}

static uint32_t rounds(const char *name, uint32_t usual)
{
	const char *n = getenv(name);
	return n ? (uint32_t)strtoul(n, NULL, 10) : usual;
}

static void survives_torn_batches(void **state)
{
	(void)state;
	struct history_of *h = calloc(1, sizeof(*h));
	make_history(h, 7);
	for (uint32_t i = 0; i < rounds("CRASH_ROUNDS", 40); i++)
		check_torn(h, i % h->moment_count);
	free_history(h);
}

/* ---- damage ---- */

struct damage {
	uint32_t file;
	uint64_t from, until;
	bool cut;
};

/* Ids of the records that the damage hits, and of what they are about.  */
static bool is_hit(const struct history_of *h, const struct damage *d, uint64_t id)
{
	const char *octets = h->files[d->file];
	for (uint64_t at = 0; at + sizeof(struct disk_record) <= SEGMENT; at += RECORD_ALIGN) {
		struct disk_record r;
		struct str payload;
		size_t size;
		if (!record_read(str_of(octets + at, SEGMENT - at), h->salts[d->file], &r, &payload,
			    &size))
			continue;
		if (r.type != RECORD_BATCH && r.id == id && at < d->until && at + size > d->from)
			return true;
	}
	return false;
}

static struct damage spoil(struct history_of *h)
{
	static const uint64_t sizes[] = {1, 1, 4, SECTOR, RECORD_BLOCK, 3 * RECORD_BLOCK};
	struct damage d;
	do d.file = 1 + (uint32_t)below(h, h->file_count - 1);
	while (!h->files[d.file] || !h->salts[d.file]);
	char *octets = malloc(SEGMENT);
	memcpy(octets, h->files[d.file], SEGMENT);
	d.cut = below(h, 10) == 0;
	uint64_t size = d.cut ? SEGMENT : sizes[below(h, ARRAY_LEN(sizes))];
	d.from = below(h, 8) == 0 ? below(h, 64) : below(h, SEGMENT);
	if (size >= SECTOR && !d.cut) d.from &= ~(uint64_t)(SECTOR - 1);
	d.until = d.from + size < SEGMENT ? d.from + size : SEGMENT;
	bool zero = below(h, 2);
	for (uint64_t i = d.from; i < d.until; i++)
		octets[i] =
			zero && size >= SECTOR ? 0 : (char)(octets[i] ^ (1 + (int)below(h, 255)));
	put_file(h, d.file, octets, d.cut ? d.from : SEGMENT);
	free(octets);
	return d;
}

static void check_damage(struct history_of *h)
{
	bench_clear_directory(h->b.path);
	for (uint32_t i = 1; i < h->file_count; i++)
		if (h->files[i]) put_file(h, i, h->files[i], SEGMENT);
	struct damage d = spoil(h);
	for (int round = 0; round < 2; round++) {
		bench_open(&h->b);
		spool_check(h->b.spool);
		for (uint32_t i = 0; i < h->count; i++)
			if (!is_like(h, &h->messages[i]) && !is_hit(h, &d, h->messages[i].id)) {
				log_flush(&h->b.log);
				size_t n = h->b.told.len < 900 ? h->b.told.len : 900;
				print_error("%.*s\n", (int)n, h->b.told.ptr + h->b.told.len - n);
				print_error("grows? %lu of %u\n", h->salts[d.file], h->file_count);
				fail_msg("message %u: file %u, %lu to %lu%s", i, d.file, d.from,
					d.until, d.cut ? ", cut" : "");
			}
		assert_nothing_garbled(h);
		bench_close(&h->b);
	}
}

static void damage_costs_what_it_hits(void **state)
{
	(void)state;
	struct history_of *h = calloc(1, sizeof(*h));
	make_history(h, 8);
	for (uint32_t i = 0; i < rounds("CRASH_ROUNDS", 40); i++) check_damage(h);
	free_history(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_torn_batches),
		cmocka_unit_test(damage_costs_what_it_hits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
