/* Next hops: servers of every character.  What they have taken goes to the ledger.  */
#include "sim/town.h"

enum {
	LINE_MAX_OCTETS = 4096,
	GREY_US = 40 * 1000 * 1000,
	SLOW_MS = 20 * 1000,
	CONTENT_MAX = 4 << 20
};

enum visit_state { VISIT_COMMAND, VISIT_DATA, VISIT_BDAT, VISIT_SHAKES };

struct visit {
	struct list link;
	struct io_stream stream;
	struct host *host;
	struct town *town;
	struct timer later; /* when `out` may go */
	struct buf in, out, content;
	enum visit_state state;
	uint64_t bdat_left;
	bool bdat_last;
	uint64_t said; /* octets of all replies */
	char from[100];
	bool has_from, rated;
	struct {
		struct letter *letter;
		uint32_t recipient;
		bool report;
	} to[LETTER_RECIPIENTS * 4];
	uint32_t to_count;
	bool silent, endless, closing;
};

static double mood(const struct visit *v) { return v->town->calm ? 0 : v->host->mood; }

static bool falls_victim(struct visit *v, enum temper temper)
{
	return !v->town->calm && v->host->temper == temper && sim_chance(&v->town->faults, mood(v));
}

/* ---- saying ---- */

static void visit_free(struct visit *v)
{
	v->host->visits--;
	io_timer_cancel(&v->town->outside, &v->later);
	io_close(&v->stream);
	buf_release(&v->in);
	buf_release(&v->out);
	buf_release(&v->content);
	list_remove(&v->link);
	free(v);
}

static void speak(struct visit *v)
{
	if (v->out.len > 0 && !io_send(&v->stream, buf_str(&v->out))) v->closing = true;
	buf_clear(&v->out);
}

/* For ever, with pauses: whoever reads it must have a limit.  */
static void speak_endlessly(struct visit *v)
{
	for (int i = 0; i < 50; i++) buf_add(&v->out, STR("250-and another thing\r\n"));
	speak(v);
	if (!v->closing)
		io_timer_set(&v->town->outside, &v->later, io_now(&v->town->outside) + 500);
}

static void later(struct timer *timer)
{
	struct visit *v = CONTAINER_OF(timer, struct visit, later);
	if (v->endless)
		speak_endlessly(v);
	else
		speak(v);
	if (v->closing) visit_free(v);
}

static void say(struct visit *v, const char *reply)
{
	if (v->silent) return;
	if (falls_victim(v, TEMPER_SILENT)) {
		v->silent = true;
		return;
	}
	if (falls_victim(v, TEMPER_ENDLESS)) v->endless = true;
	if (falls_victim(v, TEMPER_RUDE)) reply = "hello yourself";
	buf_add(&v->out, str_from_c(reply));
	buf_add(&v->out, STR("\r\n"));
	v->said += strlen(reply) + 2;
	if (v->endless || falls_victim(v, TEMPER_SLOW)) {
		msec wait = sim_skewed(&v->town->faults, 1, SLOW_MS);
		if (!timer_is_set(&v->later))
			io_timer_set(
				&v->town->outside, &v->later, io_now(&v->town->outside) + wait);
	}
	if (!timer_is_set(&v->later)) speak(v);
}

/* ---- what a refusal means to the letters ---- */

static void give_reason(struct visit *v, uint32_t i)
{
	if (v->to[i].report)
		v->to[i].letter->report_refused = true;
	else
		v->to[i].letter->may_fail[v->to[i].recipient] = true;
}

static void give_reasons(struct visit *v)
{
	for (uint32_t i = 0; i < v->to_count; i++) give_reason(v, i);
}

/* ---- commands ---- */

static void forget_transaction(struct visit *v)
{
	v->has_from = false;
	v->to_count = 0;
	buf_clear(&v->content);
	v->state = VISIT_COMMAND;
}

static void on_ehlo(struct visit *v)
{
	forget_transaction(v);
	char reply[300];
	snprintf(reply, sizeof reply, "250-host%u.example\r\n%s%s%s%s%s250 SIZE 10000000",
		v->host->number, v->host->tls != TLS_NOT_OFFERED ? "250-STARTTLS\r\n" : "",
		v->host->pipelining ? "250-PIPELINING\r\n" : "",
		v->host->eight ? "250-8BITMIME\r\n" : "",
		v->host->chunking ? "250-CHUNKING\r\n" : "", v->host->dsn ? "250-DSN\r\n" : "");
	say(v, reply);
}

/* What is between < and >.  */
static struct str path_of(struct str line)
{
	size_t from = str_find(line, '<');
	if (from == line.len) return STR_NONE;
	struct str path = str_skip(line, from + 1);
	return str_head(path, str_find(path, '>'));
}

static void on_mail(struct visit *v, struct str line)
{
	struct str path = path_of(line);
	if (v->has_from) return say(v, "503 5.5.1 one at a time");
	if (str_contains(path, STR("smuggled")))
		sim_violation(&v->town->world, "a smuggled message was sent on");
	if (falls_victim(v, TEMPER_SOFT)) return say(v, "451 4.3.0 not now");
	snprintf(v->from, sizeof v->from, STR_FMT, STR_ARG(str_head(path, 90)));
	v->has_from = true;
	v->rated = false;
	v->to_count = 0;
	say(v, "250 2.1.0 fine");
}

static void check_twice(
	struct visit *v, const struct letter *letter, uint32_t recipient, bool report)
{
	for (uint32_t i = 0; i < v->to_count; i++)
		if (v->to[i].letter == letter && v->to[i].recipient == recipient &&
			v->to[i].report == report)
			sim_violation(&v->town->world, "a recipient of letter %llu was named twice",
				(unsigned long long)letter->number);
}

static void check_secret(struct visit *v, struct str path)
{
	const struct town *t = v->town;
	if (t->secret && str_iends(path, str_from_c(t->domains[0])))
		sim_violation(&v->town->world, "mail for " STR_FMT " goes in clear", STR_ARG(path));
}

/* The bucket holds one, and a life knows nothing of the one before; the network may bring together what was apart.  */
static void check_rate(struct visit *v, struct str path)
{
	enum { COUNT = TOWN_RATE * 2 + 2, MINUTE_US = 60 * 1000000 };
	struct town *t = v->town;
	if (!t->rated || v->rated || !str_iends(path, str_from_c(t->domains[1]))) return;
	v->rated = true;
	memmove(t->rated_us + 1, t->rated_us, (COUNT - 1) * sizeof *t->rated_us);
	t->rated_us[0] = t->world.now_us;
	int64_t since = t->world.now_us - MINUTE_US;
	if (t->rated_us[COUNT - 1] > since && t->began_us < since)
		sim_violation(
			&t->world, "%d transactions for %s within a minute", COUNT, t->domains[1]);
}

static bool is_grey(struct visit *v, const struct letter *letter)
{
	if (v->town->calm || v->host->temper != TEMPER_GREY) return false;
	return v->town->world.now_us < letter->sent_us + GREY_US;
}

static void on_rcpt(struct visit *v, struct str line)
{
	struct str path = path_of(line);
	uint32_t recipient = 0;
	bool report = v->host == &v->town->senders;
	struct letter *letter = ledger_find(&v->town->ledger, path, report ? 's' : 'r', &recipient);
	if (!v->has_from) return say(v, "503 5.5.1 MAIL first");
	if (!letter)
		sim_violation(&v->town->world,
			"mail to somebody who was never written to: " STR_FMT, STR_ARG(path));
	if (report && v->from[0])
		sim_violation(&v->town->world, "a report with the reverse-path %s", v->from);
	check_twice(v, letter, recipient, report);
	check_secret(v, path);
	check_rate(v, path);
	if (v->to_count == ARRAY_LEN(v->to)) return say(v, "452 4.5.3 too many");
	v->to[v->to_count].letter = letter;
	v->to[v->to_count].recipient = recipient;
	v->to[v->to_count].report = report;
	if (falls_victim(v, TEMPER_HARD)) {
		give_reason(v, v->to_count);
		return say(v, "550 5.1.1 nobody of that name");
	}
	if (is_grey(v, letter)) return say(v, "451 4.7.1 greylisted, come again");
	if (falls_victim(v, TEMPER_SOFT)) return say(v, "452 4.2.2 full");
	v->to_count++;
	say(v, "250 2.1.5 fine");
}

/* Nobody here speaks TLS: what is not to go in clear must not go at all.  */
static void on_starttls(struct visit *v)
{
	if (v->host->tls != TLS_GARBAGE) return say(v, "454 4.7.0 not today");
	say(v, "220 2.0.0 go on");
	v->state = VISIT_SHAKES;
}

/* ---- content ---- */

static void take_message(struct visit *v, bool doubtful)
{
	struct receipt receipt = {.conn = v->stream.fd / 2,
		.side = 1 - v->stream.fd % 2,
		.end = doubtful ? 0 : v->said};
	v->host->messages++;
	for (uint32_t i = 0; i < v->to_count; i++) {
		struct letter *letter = v->to[i].letter;
		bool recoded = letter->kind == LETTER_8BIT && !v->host->eight;
		if (v->to[i].report) {
			ledger_reported(&v->town->ledger, letter, buf_str(&v->content), &receipt);
			continue;
		}
		ledger_delivered(&v->town->ledger, letter, v->to[i].recipient, &receipt);
		ledger_compare(&v->town->ledger, letter, buf_str(&v->content), false, recoded);
	}
}

static void on_end(struct visit *v)
{
	if (falls_victim(v, TEMPER_CLOSES)) {
		if (sim_chance(&v->town->faults, 0.5)) take_message(v, true);
		v->closing = true;
		return;
	}
	if (falls_victim(v, TEMPER_SOFT)) {
		say(v, "451 4.3.0 local trouble");
	} else if (falls_victim(v, TEMPER_HARD)) {
		give_reasons(v);
		say(v, "554 5.7.1 we do not like it");
	} else {
		bool mute = v->silent;
		say(v, "250 2.0.0 taken");
		take_message(v,
			mute || v->silent || v->endless || v->host->temper == TEMPER_RUDE ||
				v->host->temper == TEMPER_ENDLESS);
	}
	forget_transaction(v);
}

static void on_data(struct visit *v)
{
	if (v->to_count == 0)
		return say(v, v->has_from ? "554 5.5.1 no valid recipients" : "503 5.5.1 no");
	if (falls_victim(v, TEMPER_SOFT)) return say(v, "451 4.3.0 not now");
	if (falls_victim(v, TEMPER_HARD)) {
		give_reasons(v);
		return say(v, "554 5.7.1 never");
	}
	v->state = VISIT_DATA;
	say(v, "354 go on");
}

static void on_bdat(struct visit *v, struct str line)
{
	struct str word, rest = str_trim(str_skip(line, 4));
	(void)str_cut(&rest, ' ', &word);
	if (!str_to_u64(word, CONTENT_MAX, &v->bdat_left)) return say(v, "501 5.5.4 how many?");
	v->bdat_last = str_ieq(str_trim(rest), STR("LAST"));
	v->state = VISIT_BDAT;
}

static void on_command(struct visit *v, struct str line)
{
	if (str_istarts(line, STR("EHLO"))) return on_ehlo(v);
	if (str_istarts(line, STR("HELO")))
		return forget_transaction(v), say(v, "250 host.example");
	if (str_istarts(line, STR("MAIL FROM:"))) return on_mail(v, line);
	if (str_istarts(line, STR("RCPT TO:"))) return on_rcpt(v, line);
	if (str_ieq(line, STR("DATA"))) return on_data(v);
	if (str_istarts(line, STR("BDAT "))) return on_bdat(v, line);
	if (str_ieq(line, STR("RSET"))) return forget_transaction(v), say(v, "250 2.0.0 forgotten");
	if (str_ieq(line, STR("STARTTLS"))) return on_starttls(v);
	if (str_ieq(line, STR("NOOP"))) return say(v, "250 2.0.0 nothing");
	if (str_ieq(line, STR("QUIT"))) {
		say(v, "221 2.0.0 bye");
		v->closing = true;
		return;
	}
	if (v->host->temper == TEMPER_RUDE) return say(v, "500 5.5.2 what?");
	sim_violation(&v->town->world, "our server says to a next hop: " STR_FMT, STR_ARG(line));
}

/* A line of DATA; CRLF is gone.  */
static void on_data_line(struct visit *v, struct str line)
{
	if (str_eq(line, STR("."))) return on_end(v);
	if (line.len > 0 && line.ptr[0] == '.') line = str_skip(line, 1);
	buf_add(&v->content, line);
	buf_add(&v->content, STR("\r\n"));
}

/* Lines end with CRLF and nothing else.  */
static bool take_line(struct visit *v)
{
	struct str in = buf_str(&v->in);
	for (size_t at = 0; at + 1 < in.len; at++) {
		if (in.ptr[at] != '\r' || in.ptr[at + 1] != '\n') continue;
		struct str line = str_head(in, at);
		if (v->state == VISIT_DATA)
			on_data_line(v, line);
		else
			on_command(v, line);
		buf_consume(&v->in, at + 2);
		return true;
	}
	return false;
}

static bool take_bdat(struct visit *v)
{
	size_t n = v->in.len < v->bdat_left ? v->in.len : (size_t)v->bdat_left;
	buf_add(&v->content, str_head(buf_str(&v->in), n));
	buf_consume(&v->in, n);
	v->bdat_left -= n;
	if (v->bdat_left > 0) return false;
	v->state = VISIT_COMMAND;
	bool last = v->bdat_last;
	if (v->to_count == 0)
		say(v, "554 5.5.1 no valid recipients");
	else if (last)
		on_end(v);
	else
		say(v, "250 2.0.0 more");
	return true;
}

static void received(struct io_stream *stream, struct str octets)
{
	struct visit *v = CONTAINER_OF(stream, struct visit, stream);
	buf_add(&v->in, octets);
	if (v->state == VISIT_SHAKES) {
		buf_clear(&v->in);
		if (v->closing) return;
		say(v, "220 what is this?");
		v->closing = true;
	}
	while (!v->closing && v->in.len > 0 &&
		(v->state == VISIT_BDAT ? take_bdat(v) : take_line(v))) {
	}
	if (v->closing && !timer_is_set(&v->later)) visit_free(v);
}

static void ended(struct io_stream *stream, int error)
{
	(void)error;
	visit_free(CONTAINER_OF(stream, struct visit, stream));
}

static void drained(struct io_stream *stream) { (void)stream; }

static const struct io_stream_events visit_events = {
	.received = received, .ended = ended, .drained = drained};

/* ---- arriving ---- */

/* Its domains are all that lead here, each a destination of its own.  */
static void check_window(const struct host *h)
{
	const struct town *t = h->town;
	uint32_t open = net_connected(&t->net, &t->machine, h->number);
	if (open > t->connections * h->domains)
		sim_violation(&h->town->world,
			"%u connections to host %u, which has %u domains; %u to one destination are allowed",
			open, h->number, h->domains, t->connections);
}

static void accepted(struct io_listener *l, const struct io_accepted *client)
{
	struct host *h = CONTAINER_OF(l, struct host, listener);
	struct town *t = h->town;
	h->all_visits++;
	struct visit *v = calloc(1, sizeof *v);
	ASSERT(v);
	v->host = h;
	v->town = t;
	v->later.fire = later;
	buf_init(&v->in, 1 << 20);
	buf_init(&v->out, 1 << 20);
	buf_init(&v->content, CONTENT_MAX);
	list_push_back(&t->visits, &v->link);
	int error = io_accept(&t->outside, &v->stream, &visit_events, client);
	ASSERT(!error);
	h->visits++;
	check_window(h);
	io_read_on(&v->stream);
	if (falls_victim(v, TEMPER_BUSY)) {
		say(v,
			sim_chance(&t->faults, 0.5) ? "421 4.3.2 too busy"
						    : "554 5.3.2 no mail here");
		v->closing = true;
		visit_free(v);
		return;
	}
	say(v, "220 host.example ESMTP");
}

static void open_host(struct host *h, uint16_t port)
{
	struct net_address address = {
		.family = NET_IPV4, .port = port, .octets = {10, 0, (uint8_t)h->number, 1}};
	h->listener.accepted = accepted;
	int error = io_listen(&h->town->outside, &h->listener, &address, NULL);
	ASSERT(!error);
}

void hosts_open(struct town *t)
{
	list_init(&t->visits);
	for (uint32_t i = 0; i < t->host_count; i++) open_host(&t->hosts[i], 25);
	open_host(&t->senders, 25);
}

void hosts_close(struct town *t)
{
	while (!list_empty(&t->visits))
		visit_free(CONTAINER_OF(t->visits.next, struct visit, link));
	for (uint32_t i = 0; i < t->host_count; i++) io_listener_close(&t->hosts[i].listener);
	io_listener_close(&t->senders.listener);
}
