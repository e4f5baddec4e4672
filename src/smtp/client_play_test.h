/* For tests: dialogues with the SMTP client core as data.  */
#ifndef SMTP_CLIENT_PLAY_TEST_H
#define SMTP_CLIENT_PLAY_TEST_H

#include "base/test.h"
#include "smtp/client.h"

/* A dialogue, one string a step:
 *   <TEXT   the peer says TEXT and CRLF            >TEXT   we have said exactly TEXT and CRLF
 *   >>TEXT  the same without CRLF                  =       nothing more is said, no event waits
 *   !TEXT   the next event: ready content:N done:N starttls auth:CHALLENGE failed:OUTCOME closed
 *   #N TEXT the outcome of recipient N of the transaction that was done last
 *   begin N: transaction N   content TEXT   secured   auth MECH RESPONSE   answer TEXT   quit
 *   lost   expire   deadline MS: so much later   ready / not-ready / busy / idle
 * Every dialogue runs three times: replies whole, replies that follow each other in one piece,
 * octet by octet.  */
enum { ALL_RECIPIENTS = 4, TRANSACTIONS = 3 };

struct setup {
	struct smtp_client_config config;
	uint32_t flags; /* of the envelope */
	uint32_t count; /* recipients of each transaction; 0: one */
	uint64_t size;  /* of the content; 0: 7 ("hello\r\n") */
	bool empty;     /* size is really 0 */
	bool dsn_relay;
	const char *reverse_path;
	const char *first_recipient;
};

struct rig {
	struct smtp_client client;
	struct smtp_client_config config;
	struct envelope envelope;
	struct recipient recipients[ALL_RECIPIENTS];
	struct smtp_transaction transactions[TRANSACTIONS];
	struct outcome outcomes[TRANSACTIONS][ALL_RECIPIENTS];
	struct arena arena;
	const struct smtp_transaction *done; /* the last */
	msec now;
	const char *step;
};

static const uint32_t indices[ALL_RECIPIENTS] = {0, 1, 2, 3};

static inline void rig_init(struct rig *r, const struct setup *setup)
{
	*r = (struct rig){.config = setup->config, .now = 1000};
	if (!r->config.helo.len) r->config.helo = STR("me.example");
	arena_init(&r->arena, 1 << 20);
	r->recipients[0] = (struct recipient){.address = STR("a@x.example"),
		.orcpt = STR("rfc822;A@x.example"),
		.notify = NOTIFY_SUCCESS | NOTIFY_DELAY};
	if (setup->first_recipient) r->recipients[0].address = str_from_c(setup->first_recipient);
	r->recipients[1] =
		(struct recipient){.address = STR("b@x.example"), .notify = NOTIFY_NEVER};
	r->recipients[2] = (struct recipient){.address = STR("c@x.example")};
	r->recipients[3] = (struct recipient){.address = STR("d@x.example")};
	r->envelope = (struct envelope){.reverse_path = STR("s@y.example"),
		.envid = STR("QQ+2B1"),
		.flags = setup->flags,
		.recipients = r->recipients,
		.recipient_count = ALL_RECIPIENTS};
	if (setup->reverse_path) r->envelope.reverse_path = str_from_c(setup->reverse_path);
	for (size_t i = 0; i < TRANSACTIONS; i++)
		r->transactions[i] = (struct smtp_transaction){.envelope = &r->envelope,
			.recipients = indices,
			.recipient_count = setup->count ? setup->count : 1,
			.size = setup->empty  ? 0
				: setup->size ? setup->size
					      : 7,
			.outcomes = r->outcomes[i],
			.arena = &r->arena,
			.dsn_relay = setup->dsn_relay};
	assert_true(smtp_client_init(&r->client, &r->config, r->now));
}

static inline void rig_release(struct rig *r)
{
	smtp_client_release(&r->client);
	arena_release(&r->arena);
}

static inline void describe_outcome(struct buf *out, const struct outcome *o)
{
	buf_printf(out, "%s %u ", outcome_name(o->class), o->code);
	enhanced_add(out, o->enhanced);
	if (o->text.len) buf_add_c(out, ' ');
	buf_add(out, o->text);
	if (o->doubtful) buf_add(out, STR(" (doubtful)"));
	if (o->dsn_passed) buf_add(out, STR(" (dsn passed)"));
}

static inline void next_event(struct rig *r, struct buf *out)
{
	static const char *const names[] = {
		[SMTP_CLIENT_EVENT_READY] = "ready",
		[SMTP_CLIENT_EVENT_STARTTLS] = "starttls",
		[SMTP_CLIENT_EVENT_AUTH] = "auth:",
		[SMTP_CLIENT_EVENT_CONTENT] = "content:",
		[SMTP_CLIENT_EVENT_DONE] = "done:",
		[SMTP_CLIENT_EVENT_FAILED] = "failed:",
		[SMTP_CLIENT_EVENT_CLOSED] = "closed",
	};
	struct smtp_client_event e;
	if (!smtp_client_next(&r->client, &e)) {
		buf_add(out, STR("no event"));
		return;
	}
	buf_add(out, str_from_c(names[e.type]));
	buf_add(out, e.challenge);
	if (e.transaction) buf_printf(out, "%u", (unsigned)(e.transaction - r->transactions));
	if (e.type == SMTP_CLIENT_EVENT_DONE) r->done = e.transaction;
	if (e.type == SMTP_CLIENT_EVENT_FAILED) describe_outcome(out, &e.outcome);
}

static inline void expect(struct rig *r, struct str got, struct str wanted)
{
	if (!str_eq(got, wanted)) fail_msg("at \"%s\": got \"" STR_FMT "\"", r->step, STR_ARG(got));
}

static inline void expect_event(struct rig *r, struct str wanted)
{
	struct buf got;
	buf_init(&got, 2000);
	next_event(r, &got);
	expect(r, buf_str(&got), wanted);
	buf_release(&got);
}

static inline void expect_outcome(struct rig *r, struct str wanted)
{
	struct buf got;
	buf_init(&got, 2000);
	size_t at = (size_t)(wanted.ptr[0] - '0');
	assert_non_null(r->done);
	describe_outcome(&got, &r->done->outcomes[at]);
	expect(r, buf_str(&got), str_skip(wanted, 2));
	buf_release(&got);
}

static inline void expect_output(struct rig *r, struct str wanted, bool line)
{
	struct str got = smtp_client_output(&r->client);
	size_t len = wanted.len + (line ? 2 : 0);
	expect(r, str_head(got, wanted.len), wanted);
	if (line) expect(r, str_skip(str_head(got, len), wanted.len), STR("\r\n"));
	smtp_client_sent(&r->client, len);
}

static inline void say(struct rig *r, struct str bytes, bool octets)
{
	if (!octets) smtp_client_feed(&r->client, r->now, bytes);
	for (size_t i = 0; octets && i < bytes.len; i++)
		smtp_client_feed(&r->client, r->now, str_of(bytes.ptr + i, 1));
}

static inline void act(struct rig *r, struct str line)
{
	struct smtp_client *c = &r->client;
	struct str verb, rest = line, mechanism;
	str_cut(&rest, ' ', &verb);
	uint64_t n = 0;
	str_to_u64(rest, UINT64_MAX, &n);
	if (str_eq(verb, STR("begin")))
		smtp_client_begin(c, r->now, &r->transactions[n]);
	else if (str_eq(verb, STR("content")))
		assert_true(smtp_client_content(c, r->now, rest));
	else if (str_eq(verb, STR("secured")))
		smtp_client_secured(c, r->now);
	else if (str_eq(verb, STR("answer")))
		smtp_client_auth(c, r->now, STR_NONE, rest, true);
	else if (str_eq(verb, STR("quit")))
		smtp_client_quit(c, r->now);
	else if (str_eq(verb, STR("lost")))
		smtp_client_lost(c, r->now, rest);
	else if (str_eq(verb, STR("abandon")))
		smtp_client_abandon(c, rest);
	else if (str_eq(verb, STR("auth-failed")))
		smtp_client_auth_failed(c, rest);
	else if (str_eq(verb, STR("expire")))
		smtp_client_expire(c, r->now);
	else if (str_eq(verb, STR("ready")))
		assert_true(smtp_client_ready(c));
	else if (str_eq(verb, STR("not-ready")))
		assert_false(smtp_client_ready(c));
	else if (str_eq(verb, STR("busy")))
		assert_true(smtp_client_busy(c));
	else if (str_eq(verb, STR("idle")))
		assert_false(smtp_client_busy(c));
	else if (str_eq(verb, STR("no-deadline")))
		assert_true(smtp_client_deadline(c) == MSEC_NEVER);
	else if (str_eq(verb, STR("deadline"))) {
		r->now += (msec)n;
		assert_int_equal(smtp_client_deadline(c), r->now);
	} else if (str_eq(verb, STR("auth"))) {
		bool has = str_cut(&rest, ' ', &mechanism);
		smtp_client_auth(c, r->now, mechanism, rest, has);
	} else
		fail_msg("no such step: %s", r->step);
}

static inline void take_step(
	struct rig *r, struct buf *said, struct str next, bool joined, bool octets)
{
	struct str s = str_from_c(r->step);
	if (s.ptr[0] == '<') {
		buf_add(said, str_skip(s, 1));
		buf_add(said, STR("\r\n"));
		if (joined && next.len && next.ptr[0] == '<') return;
		say(r, buf_str(said), octets);
		buf_clear(said);
	} else if (str_starts(s, STR(">>"))) {
		expect_output(r, str_skip(s, 2), false);
	} else if (s.ptr[0] == '>') {
		expect_output(r, str_skip(s, 1), true);
	} else if (s.ptr[0] == '!') {
		expect_event(r, str_skip(s, 1));
	} else if (s.ptr[0] == '#') {
		expect_outcome(r, str_skip(s, 1));
	} else if (s.ptr[0] == '=') {
		expect(r, smtp_client_output(&r->client), STR_NONE);
		expect_event(r, STR("no event"));
	} else {
		act(r, s);
	}
}

static inline void run_once(
	const struct setup *setup, const char *const *steps, bool joined, bool octets)
{
	struct rig r;
	struct buf said;
	rig_init(&r, setup);
	buf_init(&said, 1 << 20);
	for (; *steps; steps++) {
		r.step = *steps;
		take_step(&r, &said, str_from_c(steps[1]), joined, octets);
	}
	r.step = "the end";
	expect(&r, smtp_client_output(&r.client), STR_NONE);
	expect_event(&r, STR("no event"));
	buf_release(&said);
	rig_release(&r);
}

static inline void run(const struct setup *setup, const char *const *steps)
{
	run_once(setup, steps, false, false);
	run_once(setup, steps, true, false);
	run_once(setup, steps, false, true);
}

#define DIALOG(setup_, ...)                                                                        \
	do {                                                                                       \
		const struct setup the_setup = setup_;                                             \
		run(&the_setup, (const char *const[]){__VA_ARGS__, NULL});                         \
	} while (0)
#define SETUP(...) ((struct setup){__VA_ARGS__})

#define HELLO(...) "<220 hi", ">EHLO me.example", __VA_ARGS__, "!ready"
#define PLAIN HELLO("<250 mx")
#define ESMTP HELLO("<250-mx", "<250-SIZE 1000000", "<250-8BITMIME", "<250 DSN")
#define PIPED HELLO("<250-mx", "<250-PIPELINING", "<250 ENHANCEDSTATUSCODES")
#define CHUNKED HELLO("<250-mx", "<250-PIPELINING", "<250 CHUNKING")
#define STEPWISE_CHUNKED HELLO("<250-mx", "<250 CHUNKING")
#define MAIL_A "begin 0", ">MAIL FROM:<s@y.example>", "<250 ok", ">RCPT TO:<a@x.example>"

#endif
