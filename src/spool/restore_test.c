/* Entries of summaries into the index: copies, what ends them, domains.  */
#include "spool/recover.h"
#include "spool/test.h"

enum { SEGMENT = 64 << 10 };

static void recovered_recipients_are_visited_once(void *context, slot recipient, struct str domain)
{
	struct bench *b = context;
	const struct spool_recipient *r = spool_recipient(spool_index(b->spool), recipient);
	char want[32];
	uint64_t size = spool_message(spool_index(b->spool), r->message)->tag;
	snprintf(want, sizeof(want), "d%u.example.net", (unsigned)(size + r->index) % 7);
	assert_str(domain, want);
	b->recovered++;
}

static void domains_of_recovered_recipients(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	for (uint32_t i = 0; i < 40; i++) bench_accept(&b, &m, 1 + i % 3, 2000 + i);
	bench_close(&b);
	bench_open(&b);
	b.recovered = 0;
	spool_each_recovered(b.spool, recovered_recipients_are_visited_once, &b);
	assert_int_equal(b.recovered, b.report.recipients);
	assert_true(b.recovered > 40);
	spool_each_recovered(b.spool, recovered_recipients_are_visited_once, &b);
	assert_int_equal(b.recovered, b.report.recipients);
	bench_end(&b);
}

/* ---- summaries made by hand ---- */

struct hand {
	struct bench b;
	struct restore restore;
	struct evidence all[3];
};

static void begin(struct hand *h)
{
	memset(h, 0, sizeof(*h));
	bench_init(&h->b, SEGMENT);
	bench_open(&h->b);
	struct spool *s = h->b.spool;
	recovered_release(s);
	assert_true(recovered_open(s));
	for (uint32_t i = 0; i < 3; i++) {
		struct evidence *e = &h->all[i];
		e->number = 20 + i;
		e->segment = segment_add(&s->segments, e->number, SEGMENT, (struct io_file){-1});
		e->segment->generation = e->generation = 100 + i;
		e->segment->end = SEGMENT;
		segment_enter(&s->segments, e->segment, SEGMENT_OPEN);
		segment_enter(&s->segments, e->segment, SEGMENT_SEALED);
		e->segment->keep = true;
		summary_init(&e->summary, 0);
	}
	s->last_id = 1000;
	s->generation = 200;
	h->restore = (struct restore){.spool = s, .all = h->all, .count = 3};
}

static void accept(struct hand *h, uint32_t in, uint64_t id, uint32_t offset)
{
	struct summary *s = &h->all[in].summary;
	struct summary_accept a = {.id = id, .offset = offset, .length = 500, .recipients = 2};
	struct disk_entry_recipient r = {.due = 5, .state = RECIPIENT_DUE};
	summary_accept(s, &a);
	summary_recipient(s, STR("one.example"), &r);
	summary_recipient(s, STR("two.example"), &r);
	summary_end(s);
}

static void done(struct hand *h, uint32_t in, uint64_t id, uint32_t of, uint32_t offset)
{
	struct disk_entry entry = {.type = RECORD_DONE, .id = id};
	struct disk_done payload = {{20 + of, offset, 100 + of}};
	summary_begin(&h->all[in].summary, &entry);
	summary_put(&h->all[in].summary, &payload, sizeof(payload));
	summary_end(&h->all[in].summary);
}

static void state_of_second(struct hand *h, uint32_t in, uint64_t id, uint8_t state)
{
	struct disk_entry entry = {.type = RECORD_STATE, .count = 1, .offset = 77, .id = id};
	struct disk_entry_state one = {.index = 1, .state = state, .attempts = 3, .due = 9};
	summary_begin(&h->all[in].summary, &entry);
	summary_put(&h->all[in].summary, &one, sizeof(one));
	summary_end(&h->all[in].summary);
}

static struct spool_message *restored(struct hand *h, uint64_t id)
{
	struct spool *s = h->b.spool;
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(restore_segment(&h->restore, &h->all[i]), 0);
		summary_release(&h->all[i].summary);
		buf_release(&h->all[i].chunks);
	}
	assert_int_equal(restore_end(&h->restore), 0);
	spool_check(s);
	slot found = spool_find(&s->index, id);
	return found ? spool_message(&s->index, found) : NULL;
}

static void end(struct hand *h)
{
	recovered_release(h->b.spool);
	bench_end(&h->b);
}

static void of_two_copies_the_later_counts(void **state)
{
	(void)state;
	struct hand h;
	begin(&h);
	accept(&h, 0, 7, 600);
	accept(&h, 1, 7, 800);
	const struct spool_message *m = restored(&h, 7);
	assert_non_null(m);
	assert_int_equal(m->segment, 21);
	assert_int_equal(m->offset, 800);
	assert_int_equal(h.all[0].segment->refs, 0);
	/* The older one is voided.  */
	assert_int_equal(waiting_count(&h.b.spool->states), 1);
	struct disk_done payload;
	memcpy(&payload, waiting_record(&h.b.spool->states, 0) + 1, sizeof(payload));
	assert_int_equal(payload.accept.number, 20);
	assert_int_equal(payload.accept.offset, 600);
	end(&h);
}

static void a_done_record_ends_the_copy_it_names_and_older_ones(void **state)
{
	(void)state;
	/* in which segment the done record names its accept record; and what is left */
	for (uint32_t names = 0; names < 2; names++) {
		struct hand h;
		begin(&h);
		accept(&h, 0, 7, 600);
		accept(&h, 1, 7, 800);
		done(&h, 2, 7, names, names ? 800 : 600);
		const struct spool_message *m = restored(&h, 7);
		assert_int_equal(m != NULL, names == 0);
		assert_true(segment_is_needed(h.all[2].segment));
		assert_true(h.all[0].segment->stale); /* what voids the copy there is kept */
		end(&h);
	}
}

/* The copy that it names may be gone already.  */
static void a_done_record_about_an_older_copy_is_kept(void **state)
{
	(void)state;
	struct hand h;
	begin(&h);
	accept(&h, 0, 7, 600);
	accept(&h, 0, 8, 700);
	done(&h, 2, 7, 1, 800);
	const struct spool_message *m = restored(&h, 7);
	assert_null(m);
	assert_true(h.all[0].segment->stale);
	assert_false(h.all[1].segment->stale);
	assert_true(segment_is_needed(h.all[2].segment));
	end(&h);
}

static void a_copy_behind_supersedes_states(void **state)
{
	(void)state;
	struct hand h;
	begin(&h);
	accept(&h, 0, 7, 600);
	state_of_second(&h, 0, 7, RECIPIENT_HELD);
	accept(&h, 1, 7, 800);
	accept(&h, 1, 8, 900);
	state_of_second(&h, 2, 8, RECIPIENT_DONE);
	const struct spool_message *m = restored(&h, 7);
	assert_int_equal(m->open, 2);
	assert_int_equal(m->state_segment, 0);
	const struct spool_index *x = spool_index(h.b.spool);
	assert_int_equal(spool_recipient(x, spool_recipient(x, m->recipients)->sibling)->state,
		RECIPIENT_DUE);
	m = spool_message(x, spool_find(x, 8));
	assert_int_equal(m->open, 1);
	assert_int_equal(m->state_segment, 22);
	assert_int_equal(m->state_offset, 77);
	end(&h);
}

static void what_ended_comes_to_nothing(void **state)
{
	(void)state;
	struct hand h;
	begin(&h);
	accept(&h, 0, 7, 600);
	done(&h, 0, 7, 0, 600);
	state_of_second(&h, 1, 7, RECIPIENT_HELD);
	done(&h, 2, 7, 0, 600);
	assert_null(restored(&h, 7));
	assert_int_equal(h.all[0].segment->refs, 0);
	assert_false(segment_is_needed(h.all[0].segment));
	assert_true(segment_is_needed(h.all[2].segment)); /* as long as the first exists */
	assert_false(segment_is_needed(h.all[1].segment));
	end(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domains_of_recovered_recipients),
		cmocka_unit_test(of_two_copies_the_later_counts),
		cmocka_unit_test(a_done_record_ends_the_copy_it_names_and_older_ones),
		cmocka_unit_test(a_done_record_about_an_older_copy_is_kept),
		cmocka_unit_test(a_copy_behind_supersedes_states),
		cmocka_unit_test(what_ended_comes_to_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
