#include "sim/ledger.h"

enum {
	/* The power may go before an outcome is on disk for so long; a process that is killed has forgotten what
	 * it read in the same turn.  */
	DOUBT_US = 10 * 1000 * 1000,
	TURN_US = 5 * 1000,
	SLACK_US = 60 * 1000 * 1000,
};

void ledger_init(struct ledger *l, struct world *world, const struct net *net)
{
	*l = (struct ledger){.world = world, .net = net};
}

void ledger_release(struct ledger *l) { free(l->letters); }

struct letter *ledger_letter(struct ledger *l)
{
	ASSERT(l->count < l->room); /* they do not move: clients hold them */
	struct letter *letter = &l->letters[l->count++];
	*letter = (struct letter){.number = l->count, .begun_us = l->world->now_us};
	return letter;
}

void ledger_crashed(struct ledger *l, bool kill)
{
	if (l->crash_count < ARRAY_LEN(l->crashes))
		l->crashes[l->crash_count++] =
			(struct ledger_crash){l->world->now_us, kill, l->disk_faults};
	for (uint32_t i = l->started; !kill && i < l->crash_count; i++) l->crashes[i].kill = false;
}

void ledger_started(struct ledger *l) { l->started = l->crash_count; }

/* Whether the server may have forgotten, by a crash, what it learned at this time.  */
static bool may_be_forgotten(const struct ledger *l, int64_t at_us)
{
	for (uint32_t i = 0; i < l->crash_count; i++) {
		int64_t later_us = l->crashes[i].at_us - at_us;
		int64_t doubt_us = l->crashes[i].kill ? TURN_US : DOUBT_US;
		if (later_us >= 0 && (l->crashes[i].disk_faults || later_us < doubt_us))
			return true;
	}
	return false;
}

/* A return is made in steps of which a crash may undo the last ones, and the report takes its time.  */
static bool crashed_since(const struct ledger *l, int64_t at_us)
{
	return l->crash_count > 0 && l->crashes[l->crash_count - 1].at_us >= at_us;
}

static bool was_read(const struct ledger *l, const struct receipt *r)
{
	return r->end > 0 && net_taken(l->net, r->conn, r->side)->octets >= r->end;
}

/* ---- addresses ---- */

static bool take_number(struct str *s, uint64_t *ret)
{
	size_t n = 0;
	while (n < s->len && ascii_digit(s->ptr[n])) n++;
	bool good = str_to_u64(str_head(*s, n), UINT32_MAX, ret);
	*s = str_skip(*s, n);
	return good;
}

struct letter *ledger_find(struct ledger *l, struct str address, char kind, uint32_t *ret_recipient)
{
	size_t plus = str_find(address, '+');
	if (plus < address.len) address = str_skip(address, plus + 1);
	uint64_t number, nth = 0;
	if (address.len == 0 || address.ptr[0] != kind) return NULL;
	address = str_skip(address, 1);
	if (!take_number(&address, &number) || number == 0 || number > l->count) return NULL;
	if (kind == 'r') {
		if (!str_starts(address, STR("."))) return NULL;
		address = str_skip(address, 1);
		if (!take_number(&address, &nth) || nth >= l->letters[number - 1].recipient_count)
			return NULL;
	}
	*ret_recipient = (uint32_t)nth;
	return &l->letters[number - 1];
}

/* ---- deliveries ---- */

/* The last delivery to this recipient; NULL: there was none.  */
static const struct delivery *last_delivery(const struct letter *letter, uint32_t recipient)
{
	for (uint32_t i = letter->delivery_count; i-- > 0;)
		if (letter->deliveries[i].recipient == recipient) return &letter->deliveries[i];
	return NULL;
}

/* The server knows for good that this recipient has it.  */
static bool is_settled(const struct ledger *l, const struct delivery *d)
{
	if (!d || !was_read(l, &d->receipt)) return false;
	return !may_be_forgotten(l, net_taken(l->net, d->receipt.conn, d->receipt.side)->at_us);
}

void ledger_delivered(
	struct ledger *l, struct letter *letter, uint32_t recipient, const struct receipt *receipt)
{
	unsigned long long number = letter->number;
	world_note(l->world, "delivered", letter->number, recipient);
	if (letter->fate == LETTER_UNSENT)
		sim_violation(
			l->world, "letter %llu was delivered, and its end was never sent", number);
	if (letter->fate == LETTER_REFUSED && !l->crash_count)
		sim_violation(l->world, "letter %llu was refused, and delivered", number);
	if (!letter->taken[recipient] && letter->fate == LETTER_ACCEPTED)
		sim_violation(l->world, "letter %llu went to %s, whom the server had refused",
			number, letter->recipients[recipient]);
	if (letter->kind == LETTER_SMUGGLING)
		sim_violation(l->world, "letter %llu smuggles, and was delivered", number);
	const struct delivery *before = last_delivery(letter, recipient);
	if (is_settled(l, before))
		sim_violation(l->world,
			"letter %llu came to %s twice: at %.3f and now, without a doubt between",
			number, letter->recipients[recipient], (double)before->at_us / 1e6);
	if (letter->failed[recipient] && was_read(l, &letter->failed_receipt[recipient]) &&
		!crashed_since(l, letter->sent_us))
		sim_violation(l->world, "letter %llu was returned, and then delivered to %s",
			number, letter->recipients[recipient]);
	if (before) l->duplicates++;
	letter->delivered[recipient]++;
	if (letter->delivery_count == LETTER_DELIVERIES) return;
	letter->deliveries[letter->delivery_count++] = (struct delivery){
		.recipient = (uint8_t)recipient, .at_us = l->world->now_us, .receipt = *receipt};
}

void ledger_in_mailbox(struct ledger *l, struct letter *letter, uint32_t recipient)
{
	unsigned long long number = letter->number;
	if (letter->fate == LETTER_UNSENT)
		sim_violation(l->world, "letter %llu is in a mailbox, and its end was never sent",
			number);
	if (letter->fate == LETTER_REFUSED && !l->crash_count)
		sim_violation(l->world, "letter %llu was refused, and is in a mailbox", number);
	if (letter->kind == LETTER_SMUGGLING)
		sim_violation(l->world, "letter %llu smuggles, and is in a mailbox", number);
	if (letter->failed[recipient] && !l->crash_count)
		sim_violation(l->world, "letter %llu was returned, and is in a mailbox", number);
	if (letter->delivered[recipient]++ && !l->crash_count)
		sim_violation(l->world, "letter %llu is in a mailbox twice", number);
}

/* ---- contents ---- */

static void to_unix(struct buf *b)
{
	size_t to = 0;
	for (size_t i = 0; i < b->len; i++)
		if (!(b->ptr[i] == '\r' && i + 1 < b->len && b->ptr[i + 1] == '\n'))
			b->ptr[to++] = b->ptr[i];
	b->len = to;
}

static bool are_trace_fields(struct str s)
{
	static const char *const names[] = {"Received:", "Return-Path:", "Delivered-To:"};
	while (s.len > 0) {
		struct str line;
		(void)str_cut(&s, '\n', &line);
		bool good = str_starts(line, STR(" ")) || str_starts(line, STR("\t"));
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			good = good || str_istarts(line, str_from_c(names[i]));
		if (!good) return false;
	}
	return true;
}

void ledger_compare(struct ledger *l, const struct letter *letter, struct str content, bool is_unix,
	bool recoded)
{
	struct buf wanted;
	buf_init(&wanted, 4 << 20);
	letter_content(letter, &wanted);
	if (is_unix) to_unix(&wanted);
	if (recoded) {
		for (size_t i = 0; i < content.len; i++)
			if (content.ptr[i] & 0x80)
				sim_violation(l->world,
					"letter %llu: 8-bit octets for a host that does not take them",
					(unsigned long long)letter->number);
	} else {
		struct str head = str_head(content,
			content.len - (wanted.len < content.len ? wanted.len : content.len));
		if (content.len < wanted.len ||
			memcmp(content.ptr + head.len, wanted.ptr, wanted.len) != 0)
			sim_violation(l->world,
				"letter %llu was changed on its way (%zu octets, %zu sent)",
				(unsigned long long)letter->number, content.len, wanted.len);
		if (!are_trace_fields(head))
			sim_violation(l->world, "letter %llu got more than trace fields: " STR_FMT,
				(unsigned long long)letter->number, STR_ARG(head));
	}
	buf_release(&wanted);
	l->compared++;
}

/* ---- reports ---- */

static void judge_failure(
	struct ledger *l, struct letter *letter, uint32_t i, const struct receipt *receipt)
{
	unsigned long long number = letter->number;
	int64_t now = l->world->now_us;
	bool old = now - letter->begun_us >= l->lifetime_us - SLACK_US;
	if (!letter->may_fail[i] && !old)
		sim_violation(l->world, "letter %llu to %s was returned for no reason", number,
			letter->recipients[i]);
	if (letter->failed[i] && was_read(l, &letter->failed_receipt[i]) &&
		!crashed_since(l, letter->sent_us))
		sim_violation(l->world, "two reports of one failure: letter %llu to %s", number,
			letter->recipients[i]);
	if (is_settled(l, last_delivery(letter, i)) && !crashed_since(l, letter->sent_us))
		sim_violation(l->world, "letter %llu was delivered to %s, and then returned",
			number, letter->recipients[i]);
	letter->failed[i]++;
	letter->failed_us[i] = now;
	letter->failed_receipt[i] = *receipt;
}

static void judge_report(struct ledger *l, struct letter *letter, uint32_t i, struct str action,
	const struct receipt *receipt)
{
	unsigned long long number = letter->number;
	if (letter->null_sender)
		sim_violation(l->world, "a report for the null reverse-path: letter %llu", number);
	if (letter->never)
		sim_violation(l->world, "a report for NOTIFY=NEVER: letter %llu", number);
	if (str_ieq(action, STR("failed"))) return judge_failure(l, letter, i, receipt);
	if (!str_ieq(action, STR("delayed")))
		sim_violation(l->world, "letter %llu: a report of %.*s", number, STR_ARG(action));
	if (letter->delayed[i] && was_read(l, &letter->delayed_receipt[i]) &&
		!crashed_since(l, letter->sent_us))
		sim_violation(l->world, "letter %llu to %s: the delay is told twice", number,
			letter->recipients[i]);
	letter->delayed[i]++;
	letter->delayed_receipt[i] = *receipt;
}

void ledger_reported(
	struct ledger *l, struct letter *letter, struct str report, const struct receipt *receipt)
{
	struct letter *about = NULL;
	uint32_t recipient = 0, found = 0;
	l->reports++;
	for (struct str line, rest = report; rest.len > 0;) {
		(void)str_cut(&rest, '\n', &line);
		line = str_trim(line);
		if (str_istarts(line, STR("Final-Recipient:"))) {
			size_t at = str_find(line, ';');
			about = ledger_find(l,
				str_trim(str_skip(line, at < line.len ? at + 1 : at)), 'r',
				&recipient);
		} else if (about && str_istarts(line, STR("Action:"))) {
			if (about != letter)
				sim_violation(l->world,
					"the sender of letter %llu got a report about %llu",
					(unsigned long long)letter->number,
					(unsigned long long)about->number);
			judge_report(l, letter, recipient, str_trim(str_skip(line, 7)), receipt);
			about = NULL;
			found++;
		}
	}
	if (found == 0)
		sim_violation(l->world, "a report about nobody came to the sender of letter %llu",
			(unsigned long long)letter->number);
}

/* ---- the end ---- */

static void settle_recipient(struct ledger *l, const struct letter *letter, uint32_t i)
{
	if (letter->delivered[i] || letter->failed[i]) return;
	int64_t age = l->world->now_us - letter->begun_us;
	bool old = age >= l->lifetime_us - SLACK_US;
	/* The report may have grown too old as well.  */
	bool report_old = age >= (letter->may_fail[i] ? 1 : 2) * (l->lifetime_us - SLACK_US);
	bool silent = letter->null_sender || letter->never || letter->report_refused || report_old;
	if (silent && (letter->may_fail[i] || old)) return;
	sim_violation(l->world,
		"letter %llu to %s was accepted at %.3f and is lost: neither delivered, nor returned, nor queued",
		(unsigned long long)letter->number, letter->recipients[i],
		(double)letter->accepted_us / 1e6);
}

void ledger_settle(struct ledger *l)
{
	for (uint64_t k = 0; k < l->count; k++) {
		const struct letter *letter = &l->letters[k];
		if (letter->fate != LETTER_ACCEPTED) continue;
		for (uint32_t i = 0; i < letter->recipient_count; i++)
			if (letter->taken[i]) settle_recipient(l, letter, i);
	}
}
