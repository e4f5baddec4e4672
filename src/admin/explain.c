#include "admin/explain.h"

#include "admin/control.h"

enum { TARGETS_MAX = 100, MEMORY_MAX = 1 << 20 };

static const char *const kind_names[] = {
	[ROUTE_MX] = "mx",
	[ROUTE_SMTP] = "smtp",
	[ROUTE_LMTP] = "lmtp",
	[ROUTE_MAILDIR] = "maildir",
	[ROUTE_DISCARD] = "discard",
	[ROUTE_REJECT] = "reject",
};

static const char *const tls_names[] = {
	[ROUTE_TLS_OFF] = "off",
	[ROUTE_TLS_OPPORTUNISTIC] = "opportunistic",
	[ROUTE_TLS_REQUIRED] = "required",
	[ROUTE_TLS_VERIFY] = "verify",
	[ROUTE_TLS_DANE] = "dane",
};

static void step(struct explain *e);

/* ---- one target ---- */

static void add_text(json_t *o, const char *key, struct str s)
{
	if (s.len) json_object_set_new(o, key, control_str(s));
}

static void add_rate(json_t *o, const struct route_rate *rate)
{
	if (!rate->messages) return;
	struct buf text;
	buf_init(&text, 100);
	buf_printf(&text, "%u per ", rate->messages);
	clock_add_span(&text, rate->per);
	add_text(o, "rate", buf_str(&text));
	buf_release(&text);
}

static json_t *target_view(struct str address, const struct route_rule *rule, struct str domain)
{
	struct buf key;
	buf_init(&key, 4096);
	route_destination_key(&key, rule, domain);
	json_t *o =
		json_pack("{s:o, s:o, s:s, s:o, s:s, s:i, s:b}", "address", control_str(address),
			"rule", control_str(rule->name), "kind", kind_names[rule->kind],
			"destination", control_str(buf_str(&key)), "tls", tls_names[rule->tls],
			"connections", (int)rule->connections, "by_latency", (int)rule->latency);
	buf_release(&key);
	if (!o) return NULL;
	add_text(o, "maildir", rule->maildir);
	add_text(o, "socket", rule->socket);
	add_text(o, "reject", rule->reject);
	add_text(o, "user", rule->user);
	add_rate(o, &rule->rate);
	return o;
}

static json_t *tlsa_view(const struct tls_tlsa *r)
{
	struct buf text;
	buf_init(&text, 1 << 16);
	for (size_t i = 0; i < r->data.len; i++) buf_printf(&text, "%02x", (uint8_t)r->data.ptr[i]);
	json_t *o = json_pack("{s:i, s:i, s:i, s:o, s:b}", "usage", r->usage, "selector",
		r->selector, "matching", r->matching, "data", control_str(buf_str(&text)), "usable",
		(int)tls_tlsa_usable(r));
	buf_release(&text);
	return o;
}

static json_t *security_view(const struct security *s)
{
	json_t *names = json_array(), *tlsa = json_array();
	for (uint32_t i = 0; i < s->name_count; i++)
		json_array_append_new(names, control_str(s->names[i]));
	for (uint32_t i = 0; i < s->tlsa_count; i++)
		json_array_append_new(tlsa, tlsa_view(&s->tlsa[i]));
	return json_pack("{s:s, s:s, s:b, s:b, s:o, s:o}", "level", security_level_name(s->level),
		"policy", s->words, "barred", (int)s->barred, "excepted", (int)s->excepted, "names",
		names, "tlsa", tlsa);
}

static json_t *host_view(const struct route_target *t)
{
	char text[64];
	struct buf address = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	net_add(&address, &t->address);
	json_t *latency = t->latency_us ? json_real(t->latency_us / 1000.0) : json_null();
	return json_pack("{s:o, s:o, s:i, s:i, s:o, s:b, s:o}", "host",
		control_str(str_from_c(t->host)), "address", control_str(buf_str(&address)), "port",
		(int)t->address.port, "preference", (int)t->preference, "latency_ms", latency,
		"secure", (int)t->secure, "tls", security_view(&t->security));
}

/* The domain's MTA-STS policy; NULL: there is none, and nothing to say of it.  */
static json_t *sts_view(const struct explain *e, const struct mtasts_lookup *sts)
{
	const struct mtasts_known *k = sts->known;
	if (!k && !sts->trouble) return NULL;
	json_t *o = json_object(), *mx = json_array();
	json_object_set_new(o, "mode", json_string(k ? mtasts_mode_name(k->policy.mode) : "none"));
	if (k) {
		json_object_set_new(o, "id", json_string(k->id));
		json_object_set_new(
			o, "age", json_integer((io_wall(e->admin->io) - k->fetched) / 1000));
		json_object_set_new(o, "max_age", json_integer(k->max_age));
		for (uint32_t i = 0; i < k->policy.mx_count; i++)
			json_array_append_new(mx, control_str(k->policy.mx[i]));
	}
	json_object_set_new(o, "mx", mx);
	if (sts->trouble) json_object_set_new(o, "trouble", control_str(str_from_c(sts->why)));
	return o;
}

static json_t *failure_view(const struct outcome *o)
{
	char text[16];
	struct buf status = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	enhanced_add(&status, o->enhanced);
	return json_pack("{s:s, s:o, s:o}", "outcome", outcome_name(o->class), "status",
		control_str(buf_str(&status)), "text", control_str(o->text));
}

static void looked_up(struct route_lookup *l)
{
	struct explain *e = CONTAINER_OF(l, struct explain, lookup);
	json_t *hosts = json_array();
	for (uint32_t i = 0; i < l->count + l->barred; i++)
		json_array_append_new(hosts, host_view(&l->targets[i]));
	json_object_set_new(e->target, "hosts", hosts);
	json_object_set_new(e->target, "mx", json_boolean(l->mx_found));
	json_object_set_new(e->target, "secure", json_boolean(l->secure));
	if (l->sts) {
		json_t *sts = sts_view(e, l->sts);
		if (sts) json_object_set_new(e->target, "sts", sts);
	}
	if (!l->count) json_object_set_new(e->target, "failure", failure_view(&l->failure));
	e->looking = false;
	route_lookup_clear(l);
	step(e);
}

/* False: nothing needs to be looked up.  */
static bool look_up(struct explain *e, const struct route_rule *rule, struct str domain)
{
	bool hosts = rule->kind == ROUTE_MX || rule->kind == ROUTE_SMTP ||
		(rule->kind == ROUTE_LMTP && rule->host_count);
	if (!hosts) return false;
	e->lookup = (struct route_lookup){.done = looked_up};
	e->looking = true;
	route_lookup(e->admin->router, &e->lookup, rule, domain);
	return true;
}

/* ---- all targets ---- */

static void finish(struct explain *e)
{
	json_t *result = e->result;
	e->result = NULL;
	e->done(e, result);
}

static void step(struct explain *e)
{
	while (e->at < e->count) {
		struct str text = e->addresses[e->at++];
		size_t at = str_rfind(text, '@');
		struct str domain = at < text.len ? str_skip(text, at + 1) : text;
		const struct route_rule *rule = route_find(e->admin->routes, domain);
		e->target = rule ? target_view(text, rule, domain) : NULL;
		if (!e->target) continue;
		json_array_append_new(e->targets, e->target);
		if (look_up(e, rule, domain)) return;
	}
	finish(e);
}

static void fire(struct timer *timer) { step(CONTAINER_OF(timer, struct explain, timer)); }

static void refuse(struct explain *e, const char *why)
{
	json_object_set_new(e->result, "problem", json_string(why));
}

/* What the address stands for; a foreign one, and a domain alone, for itself.  */
static void expand(struct explain *e, const struct address *a, struct str text)
{
	struct str *all = arena_alloc(&e->arena, TARGETS_MAX * sizeof *all);
	const struct local_domain *local = a ? domain_find(e->admin->domains, a->domain) : NULL;
	if (!all) return;
	json_object_set_new(e->result, "local", json_boolean(local != NULL));
	e->addresses = all;
	if (!local) {
		if (arena_copy(&e->arena, text, &all[0])) e->count = 1;
		return;
	}
	enum expand_result result =
		domain_expand(e->admin->domains, a, TARGETS_MAX, &e->arena, all, &e->count);
	if (result == EXPAND_DONE) return;
	e->count = 0;
	if (result == EXPAND_UNKNOWN)
		json_object_set_new(e->result, "unknown", json_true());
	else
		refuse(e, "this address stands for too many");
}

void explain_begin(struct explain *e, struct admin *admin, struct str text)
{
	void (*done)(struct explain *, json_t *) = e->done;
	*e = (struct explain){.done = done, .admin = admin, .timer.fire = fire};
	arena_init(&e->arena, MEMORY_MAX);
	e->targets = json_array();
	e->result = json_pack("{s:o, s:o}", "address", control_str(text), "targets", e->targets);
	struct address a;
	bool domain_alone = domain_valid(text, true);
	if (!e->result) return;
	if (!domain_alone && !address_parse(text, true, false, &a))
		refuse(e, "this is neither an address nor a domain");
	else
		expand(e, domain_alone ? NULL : &a, text);
	io_timer_set(admin->io, &e->timer, io_now(admin->io));
}

void explain_clear(struct explain *e)
{
	if (!e->admin) return;
	io_timer_cancel(e->admin->io, &e->timer);
	if (e->looking) route_lookup_clear(&e->lookup);
	json_decref(e->result);
	arena_release(&e->arena);
	*e = (struct explain){0};
}
