/* The bench's connections: closed loops, or paced by a rate; then latency is counted from when a message was due.  */
#include "cli/bench.h"

#include <jansson.h>

enum {
	ADDRESSES_MAX = 16,
	ARENA_BASE = 64 << 10,
	ARENA_RECIPIENT = 1024,
	PROGRESS_MS = 1000,
	FAILURES_SHOWN = 5
};

struct bench {
	struct cli_world *world;
	const struct bench_options *options;
	struct smtp_client_config config;
	struct net_address addresses[ADDRESSES_MAX];
	int address_count;
	struct buf content; /* of all messages */
	struct samples latencies, connects;
	struct timer progress;
	struct timer pace;
	struct list idle; /* lanes that wait for the pace */
	int64_t began_us;
	uint64_t begun, delivered, refused, opened, broken, shown; /* begun .. refused: messages */
	uint64_t told;                                             /* at the last progress line */
	uint64_t running;                                          /* lanes */
};

struct lane {
	struct bench *bench;
	struct talk talk;
	struct talk_letter letter;
	struct arena arena;
	struct envelope envelope;
	struct recipient *recipients;
	uint32_t *indices;
	struct list idle;
	int64_t due_us; /* when its letter should have begun */
	uint64_t sent;  /* over this connection */
	uint32_t address;
	unsigned failures; /* of connecting, in a row */
};

static void connect_lane(struct lane *lane);

/* ---- the pace ---- */

/* When message number n may begin.  */
static int64_t due_of(const struct bench *b, uint64_t n)
{
	uint64_t rate = b->options->rate;
	return b->began_us + (int64_t)(n / rate * 1000000 + n % rate * 1000000 / rate);
}

static void wake_lanes(struct timer *timer)
{
	struct bench *b = CONTAINER_OF(timer, struct bench, pace);
	int64_t now = io_now_us(b->world->io);
	while (!list_empty(&b->idle) && due_of(b, b->begun) <= now &&
		b->begun < b->options->messages) {
		struct lane *lane = CONTAINER_OF(list_pop(&b->idle), struct lane, idle);
		talk_work(&lane->talk);
	}
	if (list_empty(&b->idle)) return;
	/* What is left over has nothing to wait for.  */
	if (b->begun >= b->options->messages) {
		talk_quit(&CONTAINER_OF(list_pop(&b->idle), struct lane, idle)->talk);
		io_timer_set(b->world->io, &b->pace, io_now(b->world->io));
		return;
	}
	msec wait = (due_of(b, b->begun) - now + 999) / 1000;
	io_timer_set(b->world->io, &b->pace, io_now(b->world->io) + (wait > 0 ? wait : 1));
}

/* ---- letters ---- */

static void address_letter(struct lane *lane, uint64_t number)
{
	const struct bench_options *o = lane->bench->options;
	for (uint32_t i = 0; i < o->recipients; i++)
		lane->recipients[i].address = o->to[(number * o->recipients + i) % o->to_count];
}

static void give_letter(struct lane *lane)
{
	struct bench *b = lane->bench;
	const struct bench_options *o = b->options;
	int64_t now = io_now_us(b->world->io);
	lane->due_us = o->rate ? due_of(b, b->begun) : now;
	address_letter(lane, b->begun++);
	lane->sent++;
	arena_init(&lane->arena, ARENA_BASE + (size_t)o->recipients * ARENA_RECIPIENT);
	struct outcome *outcomes = arena_alloc(&lane->arena, o->recipients * sizeof *outcomes);
	ASSERT(outcomes);
	lane->letter = (struct talk_letter){
		.content = buf_str(&b->content),
		.transaction =
			{
				.envelope = &lane->envelope,
				.recipients = lane->indices,
				.recipient_count = (uint32_t)o->recipients,
				.size = b->content.len,
				.outcomes = outcomes,
				.arena = &lane->arena,
			},
	};
	talk_give(&lane->talk, &lane->letter);
}

static void on_ready(struct talk *t)
{
	struct lane *lane = CONTAINER_OF(t, struct lane, talk);
	struct bench *b = lane->bench;
	const struct bench_options *o = b->options;
	if (t->letters[0] || t->letters[1]) return;
	if (!lane->sent) samples_add(&b->connects, t->ready_us);
	lane->failures = 0;
	list_remove(&lane->idle);
	bool spent = o->per_connection && lane->sent >= o->per_connection;
	if (spent || b->begun >= o->messages) {
		talk_quit(t);
	} else if (o->rate && due_of(b, b->begun) > io_now_us(b->world->io)) {
		list_push_back(&b->idle, &lane->idle);
		if (!timer_is_set(&b->pace)) wake_lanes(&b->pace);
	} else {
		give_letter(lane);
	}
}

static void show_failure(struct bench *b, const struct outcome *o)
{
	if (b->shown++ >= FAILURES_SHOWN) return;
	cli_say("bench", "%s: %u " STR_FMT, outcome_name(o->class), o->code, STR_ARG(o->text));
}

static void on_done(struct talk *t, struct talk_letter *letter)
{
	struct lane *lane = CONTAINER_OF(t, struct lane, talk);
	struct bench *b = lane->bench;
	const struct outcome *bad = NULL;
	for (uint32_t i = 0; i < letter->transaction.recipient_count; i++)
		if (letter->transaction.outcomes[i].class != OUTCOME_DELIVERED)
			bad = &letter->transaction.outcomes[i];
	if (bad) show_failure(b, bad);
	b->refused += bad != NULL;
	b->delivered += bad == NULL;
	if (!bad) samples_add(&b->latencies, io_now_us(b->world->io) - lane->due_us);
	arena_release(&lane->arena);
}

/* ---- connections ---- */

static void lane_free(struct lane *lane)
{
	struct bench *b = lane->bench;
	list_remove(&lane->idle);
	arena_release(&lane->arena);
	free(lane->recipients);
	free(lane->indices);
	free(lane);
	if (--b->running == 0) io_stop(b->world->io);
}

static void on_over(struct talk *t, const struct outcome *why)
{
	struct lane *lane = CONTAINER_OF(t, struct lane, talk);
	struct bench *b = lane->bench;
	list_remove(&lane->idle);
	if (why->class != OUTCOME_NONE) b->broken++;
	if (why->class != OUTCOME_NONE && !t->was_ready) {
		lane->failures++;
		lane->address++;
		if (lane->failures >= (unsigned)b->address_count) show_failure(b, why);
	}
	if (b->begun >= b->options->messages || lane->failures >= (unsigned)b->address_count)
		lane_free(lane);
	else
		connect_lane(lane);
}

static const struct talk_events talk_events = {.ready = on_ready, .done = on_done, .over = on_over};

static void connect_lane(struct lane *lane)
{
	struct bench *b = lane->bench;
	lane->sent = 0;
	b->opened++;
	lane->talk =
		(struct talk){.io = b->world->io, .config = &b->config, .events = &talk_events};
	talk_begin(
		&lane->talk, STR_NONE, &b->addresses[lane->address % (uint32_t)b->address_count]);
}

static bool open_lane(struct bench *b)
{
	struct lane *lane = calloc(1, sizeof *lane);
	if (!lane) return false;
	lane->bench = b;
	list_init(&lane->idle);
	lane->recipients = calloc(b->options->recipients, sizeof *lane->recipients);
	lane->indices = calloc(b->options->recipients, sizeof *lane->indices);
	b->running++;
	if (!lane->recipients || !lane->indices) return lane_free(lane), false;
	for (uint32_t i = 0; i < b->options->recipients; i++) lane->indices[i] = i;
	lane->envelope = (struct envelope){.reverse_path = b->options->from,
		.recipients = lane->recipients,
		.recipient_count = (uint32_t)b->options->recipients,
		.size = b->content.len};
	connect_lane(lane);
	return true;
}

/* ---- the message ---- */

static void write_content(struct bench *b)
{
	buf_init(&b->content, SIZE_MAX / 2);
	buf_printf(&b->content,
		"From: <" STR_FMT ">\r\nTo: <" STR_FMT ">\r\nDate: ", STR_ARG(b->options->from),
		STR_ARG(b->options->to[0]));
	clock_add_rfc5322(&b->content, io_wall(b->world->io));
	buf_printf(&b->content,
		"\r\nSubject: bench\r\nMessage-ID: <%lld.bench@" STR_FMT ">\r\n\r\n",
		(long long)io_wall(b->world->io), STR_ARG(b->config.helo));
	/* Whole lines, and the last one as long as is left.  */
	static const char line[] =
		"Sphinx of black quartz, judge my vow. The five boxing wizards jump quickly.";
	while (b->content.len + 2 < b->options->size && buf_ok(&b->content)) {
		size_t left = b->options->size - b->content.len - 2;
		bool last = left < sizeof line + 2;
		buf_add(&b->content, str_head(str_from_c(line), last ? left : sizeof line - 1));
		if (last && left > sizeof line - 1)
			buf_add(&b->content, str_head(STR("..."), left - (sizeof line - 1)));
		buf_add(&b->content, STR("\r\n"));
	}
}

/* ---- telling ---- */

static void progress(struct timer *timer)
{
	struct bench *b = CONTAINER_OF(timer, struct bench, progress);
	uint64_t done = b->delivered + b->refused;
	fprintf(stderr, "%6.1f s  %llu of %llu messages  %llu/s  %llu refused\n",
		(double)(io_now_us(b->world->io) - b->began_us) / 1e6, (unsigned long long)done,
		(unsigned long long)b->options->messages,
		(unsigned long long)(done - b->told) * 1000 / PROGRESS_MS,
		(unsigned long long)b->refused);
	b->told = done;
	io_timer_set(b->world->io, timer, io_now(b->world->io) + PROGRESS_MS);
}

static const double percentiles[] = {50, 90, 95, 99, 99.9, 100};

static void show_percentiles(const char *what, const struct samples *s)
{
	printf("%-12s", what);
	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
		printf("  %s%g%s %.3f ms", percentiles[i] < 100 ? "p" : "", percentiles[i],
			percentiles[i] < 100 ? "" : "%",
			samples_percentile(s, percentiles[i]) / 1000.0);
	putchar('\n');
}

static json_t *percentiles_json(const struct samples *s)
{
	json_t *o = json_object();
	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++) {
		char key[16];
		snprintf(key, sizeof key, "p%g", percentiles[i]);
		json_object_set_new(
			o, key, json_real(samples_percentile(s, percentiles[i]) / 1000.0));
	}
	return o;
}

static void show_results(struct bench *b, double seconds)
{
	double rate = seconds > 0 ? (double)b->delivered / seconds : 0;
	double octets = rate * (double)b->content.len;
	samples_sort(&b->latencies);
	samples_sort(&b->connects);
	if (b->options->json) {
		json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:o, s:o}", "messages",
			(json_int_t)b->delivered, "refused", (json_int_t)b->refused, "connections",
			(json_int_t)b->opened, "broken", (json_int_t)b->broken, "seconds", seconds,
			"messages_per_second", rate, "octets_per_second", octets, "latency_ms",
			percentiles_json(&b->latencies), "connect_ms",
			percentiles_json(&b->connects));
		json_dumpf(o, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(o);
		return;
	}
	printf("%llu messages of %zu octets in %.3f s: %.1f messages/s, %.2f MB/s; %llu refused\n",
		(unsigned long long)b->delivered, b->content.len, seconds, rate, octets / 1e6,
		(unsigned long long)b->refused);
	printf("%llu connections opened, %llu broken\n", (unsigned long long)b->opened,
		(unsigned long long)b->broken);
	show_percentiles("latency", &b->latencies);
	show_percentiles("connecting", &b->connects);
}

/* ---- the whole ---- */

static int measure(struct bench *b)
{
	const struct bench_options *o = b->options;
	b->began_us = io_now_us(b->world->io);
	uint64_t lanes = o->connections < o->messages ? o->connections : o->messages;
	for (uint64_t i = 0; i < lanes; i++)
		if (!open_lane(b)) return cli_say("bench", "out of memory"), EXIT_SOFTWARE;
	io_timer_set(b->world->io, &b->progress, io_now(b->world->io) + PROGRESS_MS);
	io_run(b->world->io);
	io_timer_cancel(b->world->io, &b->progress);
	io_timer_cancel(b->world->io, &b->pace);
	show_results(b, (double)(io_now_us(b->world->io) - b->began_us) / 1e6);
	if (b->delivered == o->messages) return EXIT_DONE;
	return b->delivered ? EXIT_TRY_AGAIN : EXIT_UNAVAILABLE;
}

int bench_run(struct cli_world *w, const struct bench_options *options)
{
	struct bench b = {.world = w,
		.options = options,
		.config = {.helo = options->helo},
		.progress.fire = progress,
		.pace.fire = wake_lanes};
	list_init(&b.idle);
	b.address_count = cli_resolve("bench", options->server, 25, b.addresses, ADDRESSES_MAX);
	if (!b.address_count) return EXIT_UNAVAILABLE;
	io_raise_descriptors();
	write_content(&b);
	int code = buf_ok(&b.content) ? measure(&b) : EXIT_SOFTWARE;
	buf_release(&b.content);
	free(b.latencies.us);
	free(b.connects.us);
	return code;
}
