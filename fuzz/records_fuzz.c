/* What lies on the disk, read octet by octet: records, entries of an index, blocks of the history; whole
 * ones as they were written, and any others within their bounds.  */
#include "fuzz/fuzz.h"

#include "spool/history_block.h"
#include "spool/record.h"
#include "spool/summary.h"

enum { SALT = 0x5a17 };

static void check_record(struct str in)
{
	struct disk_record r, again;
	struct str payload;
	size_t size;
	if (record_read(in, SALT, &r, &payload, &size))
		ASSERT(fuzz_within(payload, in) && size >= sizeof(r) + payload.len);
	(void)record_marked(in, SALT);
	struct disk_header h = {0};
	memcpy(&h, in.ptr, in.len < sizeof(h) ? in.len : sizeof(h));
	ASSERT(!(header_valid(&h) && header_newer(&h)));
	/* The input as payload: sealed and read.  */
	struct buf whole;
	struct iovec iov = {(char *)in.ptr, in.len};
	buf_init(&whole, in.len + sizeof(r));
	r = record_make(RECORD_CHUNK, 7, in.len);
	record_seal(&r, SALT, &iov, 1);
	buf_add(&whole, str_of(&r, sizeof(r)));
	buf_add(&whole, in);
	ASSERT(record_read(buf_str(&whole), SALT, &again, &payload, &size));
	ASSERT(again.id == 7 && str_eq(payload, in));
	ASSERT(!record_read(buf_str(&whole), SALT + 1, &again, &payload, &size));
	buf_release(&whole);
}

static void check_summary(struct str in)
{
	struct summary s;
	struct summary_entry e;
	summary_init(&s, 1);
	buf_add(&s.entries, in);
	for (struct str rest = buf_str(&s.entries); rest.len;) {
		size_t before = rest.len;
		if (!summary_next(&rest, &e)) break;
		ASSERT(rest.len < before && before - rest.len >= sizeof(e.head));
		ASSERT(e.head.type != RECORD_ACCEPT || (e.recipients && e.head.count > 0));
	}
	buf_add(&s.domains, in);
	s.domain_count = in.len ? (uint8_t)in.ptr[0] : 0;
	struct str *domains;
	if (summary_domains(&s, &domains)) {
		for (uint32_t i = 0; i < s.domain_count; i++)
			ASSERT(fuzz_within(domains[i], buf_str(&s.domains)));
		free(domains);
	}
	summary_release(&s);
}

static void check_texts(const struct history_record *r)
{
	struct str all[] = {r->sender, r->client, r->helo, r->account, r->tls, r->message_id,
		r->recipient, r->outcome.text, r->outcome.host, r->outcome.tls};
	uint64_t hash = 0;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) hash ^= str_hash(all[i], i);
	for (uint32_t i = 0; i < r->recipient_count; i++) hash ^= str_hash(r->recipients[i], 3);
	ASSERT(hash != 1); /* every octet was looked at */
	ASSERT(r->event > 0 && r->event < HISTORY_EVENTS);
}

static unsigned read_block(struct history_view *v)
{
	struct history_texts texts = {0};
	struct history_record r;
	unsigned count = 0;
	while (history_view_next(v, &texts, &r)) {
		check_texts(&r);
		count++;
	}
	ASSERT(count <= v->count);
	free(texts.list);
	return count;
}

static void check_block(struct str in)
{
	struct history_view v;
	size_t len;
	if (history_view_begin(in, &v, &len) == HISTORY_WHOLE) {
		ASSERT(len <= in.len);
		if (history_view_check(str_head(in, len))) read_block(&v);
	}
	/* As records whose checksum is right.  */
	v = (struct history_view){.records = in, .count = 1000, .first_id = 5, .first_wall = 9};
	read_block(&v);
}

static struct str text_or_none(struct str *in) { return fuzz_bool(in) ? fuzz_text(in) : STR_NONE; }

static struct history_record take_record(struct str *in, struct str recipients[4])
{
	struct history_record r = {.event = 1 + fuzz_below(in, HISTORY_EVENTS - 1),
		.id = fuzz_u64(in),
		.wall = (msec)fuzz_u64(in),
		.size = fuzz_u64(in),
		.elapsed = (msec)fuzz_u64(in),
		.due = (msec)fuzz_u64(in),
		.other_id = fuzz_u64(in)};
	struct str *texts[] = {&r.sender, &r.client, &r.helo, &r.account, &r.tls, &r.message_id,
		&r.recipient, &r.outcome.text, &r.outcome.host, &r.outcome.tls};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) *texts[i] = text_or_none(in);
	r.recipient_count = fuzz_below(in, 5);
	r.recipients = recipients;
	for (uint32_t i = 0; i < r.recipient_count; i++) recipients[i] = fuzz_text(in);
	r.outcome.class = fuzz_below(in, OUTCOME_DELETED + 1);
	r.outcome.code = (uint16_t)fuzz_below(in, 65536);
	if (r.outcome.class == OUTCOME_NONE) r.outcome = (struct outcome){0};
	return r;
}

static void check_same(const struct history_record *a, const struct history_record *b)
{
	ASSERT(a->event == b->event && a->id == b->id && a->wall == b->wall);
	ASSERT(a->size == b->size && a->elapsed == b->elapsed && a->due == b->due);
	ASSERT(a->other_id == b->other_id && a->recipient_count == b->recipient_count);
	ASSERT(str_eq(a->sender, b->sender) && str_eq(a->message_id, b->message_id));
	ASSERT(str_eq(a->recipient, b->recipient) && str_eq(a->outcome.text, b->outcome.text));
	ASSERT(a->outcome.class == b->outcome.class && a->outcome.code == b->outcome.code);
	for (uint32_t i = 0; i < a->recipient_count; i++)
		ASSERT(str_eq(a->recipients[i], b->recipients[i]));
}

/* Records that the input tells of: written and read they are the same.  */
static void check_history(struct str in)
{
	enum { MANY = 6 };
	struct history_record records[MANY], r;
	struct str recipients[MANY][4];
	struct history_block b;
	struct history_view v;
	struct history_texts texts = {0};
	size_t len, count = 0;
	history_block_init(&b);
	while (count < MANY && in.len) {
		records[count] = take_record(&in, recipients[count]);
		ASSERT(history_block_add(&b, &records[count]));
		count++;
	}
	if (count) {
		history_block_seal(&b);
		struct str own = fuzz_own(buf_str(&b.out));
		ASSERT(history_view_begin(own, &v, &len) == HISTORY_WHOLE && len == own.len);
		ASSERT(history_view_check(own));
		for (size_t i = 0; i < count; i++) {
			ASSERT(history_view_next(&v, &texts, &r));
			check_same(&records[i], &r);
		}
		ASSERT(!history_view_next(&v, &texts, &r));
		fuzz_forget(own);
	}
	free(texts.list);
	history_block_release(&b);
}

void fuzz_one(struct str in)
{
	check_record(in);
	check_summary(in);
	check_block(in);
	check_history(in);
}
