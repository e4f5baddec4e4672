#include "cli/route_probe.h"

#include "cli/show.h"
#include "cli/talk.h"
#include "crypto/tls_peer.h"

enum { TLSA_MAX = 32, NAMES_MAX = 3, DATA_MAX = 64 << 10 };

struct probe {
	struct talk talk;
	json_t *host;
	json_t *result;
	struct str names[NAMES_MAX];
	struct tls_tlsa tlsa[TLSA_MAX];
	struct buf data; /* of tlsa */
	struct tls_expect expect;
};

static const char *level_of(const struct probe *p)
{
	return ask_text(json_object_get(p->host, "tls"), "level");
}

/* ---- what policy expects ---- */

static int hex_digit(char c)
{
	return ascii_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct str add_hex(struct buf *to, const char *hex)
{
	size_t at = to->len;
	for (; hex_digit(hex[0]) >= 0 && hex_digit(hex[1]) >= 0; hex += 2)
		buf_add_u8(to, (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1])));
	return str_skip(buf_str(to), at);
}

static void read_expectation(struct probe *p)
{
	const json_t *tls = json_object_get(p->host, "tls"), *item;
	struct tls_expect *e = &p->expect;
	size_t i;
	*e = (struct tls_expect){.look = true, .verify = TLS_VERIFY_NAME};
	json_array_foreach((json_t *)json_object_get(tls, "names"), i, item)
	{
		if (i < NAMES_MAX) p->names[e->name_count++] = str_from_c(json_string_value(item));
	}
	buf_init(&p->data, DATA_MAX);
	(void)buf_reserve(&p->data, DATA_MAX); /* what is lent must not move */
	json_array_foreach((json_t *)json_object_get(tls, "tlsa"), i, item)
	{
		if (i == TLSA_MAX) break;
		p->tlsa[e->tlsa_count++] = (struct tls_tlsa){(uint8_t)ask_number(item, "usage"),
			(uint8_t)ask_number(item, "selector"),
			(uint8_t)ask_number(item, "matching"),
			add_hex(&p->data, ask_text(item, "data"))};
	}
	e->names = p->names;
	e->tlsa = p->tlsa;
	if (e->tlsa_count) e->verify = TLS_VERIFY_DANE;
}

/* ---- what is found ---- */

static void note_offers(json_t *o, const struct smtp_offer *offer)
{
	const struct {
		const char *word;
		bool there;
	} all[] = {{"PIPELINING", offer->pipelining}, {"8BITMIME", offer->eightbit},
		{"SMTPUTF8", offer->utf8}, {"CHUNKING", offer->chunking},
		{"BINARYMIME", offer->binary}, {"DSN", offer->dsn},
		{"ENHANCEDSTATUSCODES", offer->enhanced}, {"REQUIRETLS", offer->requiretls}};
	json_t *list = json_array();
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].there) json_array_append_new(list, json_string(all[i].word));
	if (offer->size && offer->size_max)
		json_array_append_new(
			list, json_sprintf("SIZE %llu", (unsigned long long)offer->size_max));
	if (offer->auth[0]) json_array_append_new(list, json_sprintf("AUTH %s", offer->auth));
	json_object_set_new(o, "offers", list);
}

static json_t *day(msec wall)
{
	struct buf text;
	buf_init(&text, 40);
	clock_add_rfc3339(&text, wall);
	json_t *o = json_stringn(text.ptr, buf_ok(&text) ? 10 : 0);
	buf_release(&text);
	return o;
}

static json_t *words(struct str s)
{
	json_t *o = json_stringn(s.ptr ? s.ptr : "", s.len);
	return o ? o : json_string("(not UTF-8)"); /* a certificate may say anything */
}

static void note_certificate(const struct probe *p, const struct tls *tls)
{
	struct tls_peer peer;
	const char *why;
	if (!tls_peer_read(tls, &peer)) return;
	json_object_set_new(p->result, "certificate",
		json_pack("{s:o, s:o, s:o, s:o, s:o}", "subject", words(str_from_c(peer.subject)),
			"issuer", words(str_from_c(peer.issuer)), "names",
			words(str_from_c(peer.names)), "from", day(peer.from), "until",
			day(peer.until)));
	bool vouched = tls_peer_vouched(tls, p->names, p->expect.name_count, &why);
	json_object_set_new(p->result, "authority", json_string(vouched ? "" : why));
	if (p->expect.tlsa_count)
		json_object_set_new(p->result, "dane", words(tls_peer_distrust(tls)));
}

/* What becomes of mail, by the level that policy wants.  */
static const char *verdict(const struct probe *p)
{
	const char *level = level_of(p);
	bool tls = json_object_get(p->result, "tls") != NULL;
	if (json_is_true(json_object_get(json_object_get(p->host, "tls"), "barred")))
		return "mail would not go here";
	if (strcmp(level, "clear") == 0) return "mail would go in clear";
	if (strcmp(level, "opportunistic") == 0)
		return tls ? "mail would go over TLS" : "mail would go in clear";
	const char *proof = strcmp(level, "dane") == 0 ? "dane"
		: strcmp(level, "verified") == 0       ? "authority"
						       : NULL;
	bool proven = !proof || (json_object_get(p->result, proof) && !*ask_text(p->result, proof));
	if (!tls) return "mail would wait: there is no TLS";
	return proven ? "mail would go over TLS" : "mail would wait: the host is not proven";
}

static void ready(struct talk *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, talk);
	json_object_set_new(p->result, "ready_ms", json_real(t->ready_us / 1000.0));
	json_object_set_new(p->result, "starttls", json_boolean(t->offered_starttls));
	note_offers(p->result, &t->client.offer);
	if (t->tls) {
		json_object_set_new(p->result, "tls", words(tls_text(t->tls)));
		note_certificate(p, t->tls);
	} else if (t->tls_why[0]) {
		json_object_set_new(p->result, "tls_error", words(str_from_c(t->tls_why)));
	}
	json_object_set_new(p->result, "verdict", json_string(verdict(p)));
	talk_quit(t);
}

static void over(struct talk *t, const struct outcome *why)
{
	const struct probe *p = CONTAINER_OF(t, struct probe, talk);
	if (!t->was_ready) json_object_set_new(p->result, "error", words(why->text));
	io_stop(t->io);
}

static void done(struct talk *t, struct talk_letter *letter) { (void)t, (void)letter; }

/* ---- one host after the other ---- */

static void probe_host(struct cli_world *w, struct tls_context *context, json_t *host)
{
	static const struct talk_events events = {.ready = ready, .done = done, .over = over};
	struct smtp_client_config config = {.helo = w->config->hostname};
	struct net_address address;
	if (!net_parse(str_from_c(ask_text(host, "address")), &address)) return;
	address.port = (uint16_t)ask_number(host, "port");
	struct probe p = {.host = host, .result = json_object()};
	read_expectation(&p);
	struct talk_security security = {
		.tls = context && p.expect.name_count ? TALK_TLS_OPPORTUNISTIC : TALK_TLS_OFF,
		.context = context,
		.expect = &p.expect};
	p.talk = (struct talk){
		.io = w->io, .config = &config, .security = &security, .events = &events};
	talk_begin(&p.talk, str_from_c(ask_text(host, "host")), &address);
	io_run(w->io);
	json_object_set_new(host, "probe", p.result);
	buf_release(&p.data);
}

void route_probe(struct cli_world *w, json_t *result)
{
	size_t i, j;
	json_t *target, *host;
	struct buf why;
	buf_init(&why, 500);
	struct tls_context *context = tls_client_context(STR_NONE, &why);
	json_array_foreach(json_object_get(result, "targets"), i, target)
	{
		json_array_foreach(json_object_get(target, "hosts"), j, host)
		{
			probe_host(w, context, host);
		}
	}
	tls_context_release(context);
	buf_release(&why);
}

/* ---- showing ---- */

static void show_list(const json_t *list)
{
	size_t i;
	const json_t *word;
	json_array_foreach((json_t *)list, i, word)
	{
		printf("%s%s", i ? ", " : "", json_string_value(word));
	}
}

static void show_certificate(const json_t *probe)
{
	const json_t *c = json_object_get(probe, "certificate");
	if (!c) return;
	printf("    certificate: %s, for %s, from %s to %s, issued by %s\n", ask_text(c, "subject"),
		*ask_text(c, "names") ? ask_text(c, "names") : "nobody", ask_text(c, "from"),
		ask_text(c, "until"), ask_text(c, "issuer"));
	printf("    authority: %s\n",
		*ask_text(probe, "authority") ? ask_text(probe, "authority") : "vouches for it");
	if (json_object_get(probe, "dane"))
		printf("    DANE: %s\n",
			*ask_text(probe, "dane") ? ask_text(probe, "dane") : "a record is of it");
}

static void show_probe(const json_t *host)
{
	const json_t *probe = json_object_get(host, "probe");
	printf("  %s [%s]:%lld: ", ask_text(host, "host"), ask_text(host, "address"),
		(long long)ask_number(host, "port"));
	if (json_object_get(probe, "error")) {
		printf("%s\n", ask_text(probe, "error"));
		return;
	}
	printf("ready after %.1f ms, %s STARTTLS\n",
		json_number_value(json_object_get(probe, "ready_ms")),
		json_is_true(json_object_get(probe, "starttls")) ? "offers" : "does not offer");
	printf("    offers: ");
	show_list(json_object_get(probe, "offers"));
	putchar('\n');
	if (*ask_text(probe, "tls")) printf("    TLS: %s\n", ask_text(probe, "tls"));
	if (*ask_text(probe, "tls_error"))
		printf("    TLS fails: %s\n", ask_text(probe, "tls_error"));
	show_certificate(probe);
	printf("    policy: %s; %s\n", ask_text(json_object_get(host, "tls"), "policy"),
		ask_text(probe, "verdict"));
}

void route_probe_show(const json_t *result)
{
	size_t i, j;
	const json_t *target, *host;
	printf("Probing:\n");
	json_array_foreach((json_t *)json_object_get(result, "targets"), i, target)
	{
		json_array_foreach((json_t *)json_object_get(target, "hosts"), j, host)
		{
			show_probe(host);
		}
	}
}
