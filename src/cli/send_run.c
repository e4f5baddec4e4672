/* Recipients by the hosts that take them, connections to those, letters over these.  */
#include "cli/send.h"

enum {
	TARGETS_MAX = ROUTE_TARGETS_MAX,
	ARENA_BASE = 64 << 10,
	ARENA_RECIPIENT = 1024,
	LATENCY_HOSTS = 1000
};

/* Recipients that go to the same hosts.  */
struct send_group {
	struct send *send;
	struct str domain;
	uint32_t *recipients; /* indices into the envelope */
	uint32_t recipient_count;
	struct route_rule rule;
	struct route_lookup lookup;
	struct route_target *targets; /* the lookup's, or `fixed` */
	struct route_target *fixed;
	uint32_t target_count;
	uint64_t left; /* letters that are not begun */
};

/* A connection of a group.  */
struct lane {
	struct talk talk;
	struct send_group *group;
	struct talk_letter letter;
	struct arena arena;
	struct buf content;
	struct send_steps steps;
	uint32_t target; /* that is, or is to be, tried */
	bool has_letter, letter_settled;
};

static void lane_connect(struct lane *lane);

/* ---- what recipients got ---- */

static void say_outcome(FILE *to, struct str recipient, const struct outcome *o, const char *host)
{
	fprintf(to, STR_FMT ": %s", STR_ARG(recipient), outcome_name(o->class));
	if (*host && o->remote)
		fprintf(to, ", %s said", host);
	else if (*host)
		fprintf(to, ", %s", host);
	if (o->remote && o->code) fprintf(to, " %u", o->code);
	if (o->remote && o->enhanced.class)
		fprintf(to, " %u.%u.%u", o->enhanced.class, o->enhanced.subject,
			o->enhanced.detail);
	if (!o->remote) fputc(':', to);
	fprintf(to, " " STR_FMT "%s\n", STR_ARG(o->text),
		o->doubtful ? " (it may have arrived)" : "");
}

void send_report(struct send *s, struct str recipient, const struct outcome *o, const char *host)
{
	if (o->class == OUTCOME_DELIVERED)
		s->delivered++;
	else if (o->class == OUTCOME_FAILED)
		s->failed++;
	else
		s->deferred++;
	bool good = o->class == OUTCOME_DELIVERED;
	if (good && (s->quiet || s->options->repeat > 1)) return;
	say_outcome(s->quiet ? stderr : stdout, recipient, o, host);
}

static void report_all(struct send_group *g, const struct outcome *o, const char *host)
{
	for (uint32_t i = 0; i < g->recipient_count; i++)
		send_report(
			g->send, g->send->envelope.recipients[g->recipients[i]].address, o, host);
}

/* ---- letters ---- */

static void lane_drop_letter(struct lane *lane)
{
	arena_release(&lane->arena);
	buf_release(&lane->content);
	lane->has_letter = false;
}

static bool write_letter(struct lane *lane)
{
	struct send *s = lane->group->send;
	char id[64];
	int len = snprintf(id, sizeof id, "%s.%llu", s->token, (unsigned long long)++s->sequence);
	buf_init(&lane->content, COMPOSED_MAX);
	arena_init(
		&lane->arena, ARENA_BASE + (size_t)lane->group->recipient_count * ARENA_RECIPIENT);
	lane->has_letter = true;
	struct outcome *outcomes =
		arena_alloc(&lane->arena, lane->group->recipient_count * sizeof *outcomes);
	bool fine = compose_add_copy(&s->message, &lane->content, io_wall(s->world->io),
		str_of(id, (size_t)len), s->config.helo);
	lane->letter = (struct talk_letter){
		.content = buf_str(&lane->content),
		.transaction =
			{
				.envelope = &s->envelope,
				.recipients = lane->group->recipients,
				.recipient_count = lane->group->recipient_count,
				.size = lane->content.len,
				.outcomes = outcomes,
				.arena = &lane->arena,
			},
	};
	return fine && outcomes;
}

static void on_ready(struct talk *t)
{
	struct lane *lane = CONTAINER_OF(t, struct lane, talk);
	struct send_group *g = lane->group;
	const struct send *s = g->send;
	latency_note(
		s->latency, &g->targets[lane->target].address, t->ready_us, io_now(s->world->io));
	if (lane->has_letter) return;
	if (!g->left || s->options->until == UNTIL_EHLO) {
		g->left = 0;
		talk_quit(t);
		return;
	}
	g->left--;
	if (s->options->until != UNTIL_END) {
		lane->steps = (struct send_steps){.talk = t,
			.send = g->send,
			.recipients = g->recipients,
			.recipient_count = g->recipient_count};
		send_steps_begin(&lane->steps);
	} else if (write_letter(lane)) {
		talk_give(t, &lane->letter);
	} else {
		struct outcome o = outcome_local(OUTCOME_DEFERRED, "4.3.0", STR("out of memory"));
		report_all(g, &o, "");
		lane_drop_letter(lane);
	}
}

static void on_raw(struct talk *t, struct str octets)
{
	send_steps_raw(&CONTAINER_OF(t, struct lane, talk)->steps, octets);
}

static void on_done(struct talk *t, struct talk_letter *letter)
{
	struct lane *lane = CONTAINER_OF(t, struct lane, talk);
	const struct send_group *g = lane->group;
	for (uint32_t i = 0; i < g->recipient_count; i++)
		send_report(g->send, g->send->envelope.recipients[g->recipients[i]].address,
			&letter->transaction.outcomes[i], t->host);
	lane_drop_letter(lane);
}

/* ---- connections ---- */

static void check_end(struct send *s)
{
	if (!s->running) io_stop(s->world->io);
}

static void lane_free(struct lane *lane)
{
	struct send *s = lane->group->send;
	send_steps_clear(&lane->steps);
	if (lane->has_letter) lane_drop_letter(lane);
	free(lane);
	s->running--;
	check_end(s);
}

/* Nothing is left to try: what the group has not sent, it cannot.  */
static void give_up(struct lane *lane, const struct outcome *why)
{
	struct send_group *g = lane->group;
	for (; g->left; g->left--) report_all(g, why, "");
	lane_free(lane);
}

static void on_over(struct talk *t, const struct outcome *why)
{
	struct lane *lane = CONTAINER_OF(t, struct lane, talk);
	struct send_group *g = lane->group;
	if (lane->steps.reading && why->class != OUTCOME_NONE) report_all(g, why, "");
	if (!g->left) {
		lane_free(lane);
		return;
	}
	/* A host that has served and closed is asked again; one that has not, makes place for the next.  */
	if (!t->was_ready) {
		latency_failed(g->send->latency, &g->targets[lane->target].address,
			io_now(g->send->world->io));
		lane->target++;
	}
	if (lane->target < g->target_count)
		lane_connect(lane);
	else
		give_up(lane, why);
}

static const struct talk_events talk_events = {
	.ready = on_ready, .done = on_done, .over = on_over, .raw = on_raw};

static void lane_connect(struct lane *lane)
{
	struct send *s = lane->group->send;
	const struct route_target *target = &lane->group->targets[lane->target];
	lane->talk = (struct talk){.io = s->world->io,
		.config = &s->config,
		.security = &s->security,
		.events = &talk_events,
		.trace = s->options->trace};
	talk_begin(&lane->talk, str_from_c(target->host), &target->address);
}

static void group_connect(struct send_group *g)
{
	struct send *s = g->send;
	uint64_t lanes = s->options->connections < g->left ? s->options->connections : g->left;
	for (uint64_t i = 0; i < lanes; i++) {
		struct lane *lane = calloc(1, sizeof *lane);
		ASSERT(lane);
		lane->group = g;
		s->running++;
		lane_connect(lane);
	}
}

/* ---- groups ---- */

static void looked_up(struct route_lookup *l)
{
	struct send_group *g = CONTAINER_OF(l, struct send_group, lookup);
	struct send *s = g->send;
	g->targets = l->targets;
	g->target_count = l->count;
	if (l->count) group_connect(g);
	for (; !l->count && g->left; g->left--) report_all(g, &l->failure, "");
	s->running--;
	check_end(s);
}

static void group_look_up(struct send_group *g)
{
	struct send *s = g->send;
	const struct route_rule *rule = route_find(&s->world->config->routes, g->domain);
	g->rule = (struct route_rule){
		.name = STR("*"), .kind = ROUTE_MX, .port = 25, .connections = 1};
	if (rule && rule->kind == ROUTE_MX) g->rule = *rule;
	g->rule.allow_loopback = true; /* we are no server: nothing can go in a loop */
	g->lookup.done = looked_up;
	s->running++;
	route_lookup(s->router, &g->lookup, &g->rule, g->domain);
}

static bool group_add(struct send_group *g, uint32_t recipient)
{
	uint32_t *grown = realloc(g->recipients, (g->recipient_count + 1) * sizeof *grown);
	if (!grown) return false;
	g->recipients = grown;
	g->recipients[g->recipient_count++] = recipient;
	return true;
}

static struct str domain_of(struct str address)
{
	size_t at = str_rfind(address, '@');
	return at < address.len ? str_skip(address, at + 1) : STR("");
}

/* With a server one group; without, one for each domain.  */
static bool make_groups(struct send *s)
{
	s->groups = calloc(s->envelope.recipient_count, sizeof *s->groups);
	for (uint32_t i = 0; s->groups && i < s->envelope.recipient_count; i++) {
		struct str domain = s->options->server.len
			? STR("")
			: domain_of(s->envelope.recipients[i].address);
		uint32_t at = 0;
		while (at < s->group_count && !str_ieq(s->groups[at].domain, domain)) at++;
		struct send_group *g = &s->groups[at];
		if (at == s->group_count) {
			s->group_count++;
			*g = (struct send_group){
				.send = s, .domain = domain, .left = s->options->repeat};
		}
		if (!group_add(g, i)) return false;
	}
	return s->groups != NULL;
}

static int fix_targets(struct send *s)
{
	struct net_address addresses[TARGETS_MAX];
	struct send_group *g = &s->groups[0];
	uint16_t port = s->options->tls == TALK_TLS_IMPLICIT ? 465 : 25;
	int count = cli_resolve(s->command, s->options->server, port, addresses, TARGETS_MAX);
	if (!count) return EXIT_UNAVAILABLE;
	g->fixed = calloc((size_t)count, sizeof *g->fixed);
	if (!g->fixed) return EXIT_SOFTWARE;
	g->targets = g->fixed;
	g->target_count = (uint32_t)count;
	struct str name = s->options->server;
	size_t colon = str_rfind(name, ':');
	if (colon == str_find(name, ':')) name = str_head(name, colon);
	for (int i = 0; i < count; i++) {
		g->fixed[i].address = addresses[i];
		snprintf(g->fixed[i].host, sizeof g->fixed[i].host, STR_FMT,
			STR_ARG(str_head(name, 255)));
	}
	group_connect(g);
	return EXIT_DONE;
}

static int open_router(struct send *s)
{
	const struct config *c = s->world->config;
	const char *why = NULL;
	struct resolver_options dns = {.servers = c->dns.servers,
		.server_count = c->dns.server_count,
		.trust_anchor = c->dns.trust_anchor,
		.validate = c->dns.validate};
	s->resolver = resolver_new(s->world->io, &dns, &why);
	if (!s->resolver) {
		cli_say(s->command, "%s", why);
		return EXIT_UNAVAILABLE;
	}
	struct router_options options = {
		.resolver = s->resolver, .latency = s->latency, .ipv4 = true, .ipv6 = true};
	io_random(s->world->io, &options.seed, sizeof options.seed);
	s->router = router_new(s->world->io, &options);
	return s->router ? EXIT_DONE : EXIT_SOFTWARE;
}

static int start(struct send *s)
{
	if (!make_groups(s)) return EXIT_SOFTWARE;
	if (s->options->server.len) return fix_targets(s);
	int code = open_router(s);
	for (uint32_t i = 0; !code && i < s->group_count; i++) group_look_up(&s->groups[i]);
	return code;
}

static void clear(struct send *s)
{
	for (uint32_t i = 0; i < s->group_count; i++) {
		route_lookup_clear(&s->groups[i].lookup);
		free(s->groups[i].recipients);
		free(s->groups[i].fixed);
	}
	free(s->groups);
	if (s->router) router_free(s->router);
	if (s->resolver) resolver_free(s->resolver);
	latency_free(s->latency);
}

static void summarize(const struct send *s)
{
	double seconds = (double)(io_now_us(s->world->io) - s->began_us) / 1e6;
	fprintf(stderr, "%llu delivered, %llu deferred, %llu failed in %.3f s: %.0f messages/s\n",
		(unsigned long long)s->delivered, (unsigned long long)s->deferred,
		(unsigned long long)s->failed, seconds,
		seconds > 0 ? (double)s->sequence / seconds : 0);
}

int send_run(struct send *s)
{
	uint64_t seed;
	io_random(s->world->io, &seed, sizeof seed);
	snprintf(s->token, sizeof s->token, "%016llx", (unsigned long long)seed);
	s->latency = latency_new(LATENCY_HOSTS, seed);
	s->began_us = io_now_us(s->world->io);
	int code = s->latency ? start(s) : EXIT_SOFTWARE;
	if (!code && s->running) io_run(s->world->io);
	if (!code && s->options->repeat > 1) summarize(s);
	clear(s);
	if (code) return code;
	if (s->deferred) return EXIT_TRY_AGAIN;
	return s->failed ? EXIT_UNAVAILABLE : EXIT_DONE;
}
