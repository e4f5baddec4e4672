#include "sim/town.h"

/* ---- the network and the names ---- */

static struct host *host_at(struct town *t, const struct net_address *to)
{
	for (uint32_t i = 0; i < t->host_count; i++)
		if (to->octets[0] == 10 && to->octets[2] == t->hosts[i].number) return &t->hosts[i];
	return NULL;
}

static enum host_fate fate_of(
	void *context, const struct net_address *from, const struct net_address *to)
{
	struct town *t = context;
	(void)from;
	const struct host *h = host_at(t, to);
	return h ? h->fate : HOST_THERE;
}

static void make_host(struct town *t, struct host *h, uint32_t number, struct rng *rng)
{
	*h = (struct host){.town = t, .number = number, .eight = true};
	h->pipelining = sim_chance(rng, 0.8);
	h->chunking = sim_chance(rng, 0.5);
	h->dsn = sim_chance(rng, 0.3);
	h->tls = (enum host_tls)rng_below(rng, HOST_TLS);
	char name[64];
	snprintf(name, sizeof name, "host%u.example", number);
	struct net_address address = {.family = NET_IPV4, .octets = {10, 0, (uint8_t)number, 1}};
	dns_add_host(&t->dns, name, &address);
}

static void choose_temper(struct town *t, struct host *h)
{
	struct rng *rng = &t->faults;
	bool good = !t->options.faults || t->calm || sim_chance(rng, 0.35);
	h->temper = good ? TEMPER_GOOD : (enum temper)rng_below(rng, TEMPERS);
	h->mood = sim_chance(rng, 0.3) ? 1 : rng_unit(rng) * 0.5;
	h->fate = h->temper == TEMPER_DOWN ? (enum host_fate)rng_below(rng, HOST_SILENT + 1)
					   : HOST_THERE;
}

static void make_domain(struct town *t, uint32_t i, struct rng *rng)
{
	snprintf(t->domains[i], sizeof t->domains[i], "d%u.example", i);
	struct dns_domain *domain = dns_add_domain(&t->dns, t->domains[i]);
	uint64_t dice = rng_below(rng, 12);
	if (dice == 0) {
		domain->gone = true;
	} else if (dice == 1) {
		domain->null_mx = true;
	} else {
		bool used[TOWN_HOSTS] = {0};
		bool eight = sim_chance(rng, 0.8);
		for (int64_t k = sim_between(rng, 1, 3); k > 0; k--) {
			uint64_t at = rng_below(rng, t->host_count);
			if (used[at]) continue;
			used[at] = true;
			t->hosts[at].domains++;
			t->hosts[at].eight = t->hosts[at].eight && eight;
			char name[64];
			snprintf(name, sizeof name, "host%u.example", t->hosts[at].number);
			dns_add_mx(domain, (uint16_t)(sim_between(rng, 1, 2) * 10), name);
		}
	}
}

/* ---- the configuration ---- */

static void write_config(struct town *t, struct rng *rng)
{
	static const char *const listens[] = {"", ", bare_newline = reject"};
	char secret[128] = "", rated[128] = "";
	if (t->rated)
		snprintf(rated, sizeof rated,
			"route \"%s\" { to = mx, tls = off, rate = \"%d/m\", connections = %u }\n",
			t->domains[1], TOWN_RATE, t->connections);
	if (t->secret)
		snprintf(secret, sizeof secret,
			"route \"%s\" { to = mx, tls = required, connections = %u }\n",
			t->domains[0], t->connections);
	snprintf(t->config, sizeof t->config,
		"hostname = \"mx.home.example\"\n"
		"state = \"/state\"\n"
		"listen mx { bind = [\"192.0.2.1:25\"], tls = off%s }\n"
		"relay_from = [\"198.51.100.0/24\"]\n"
		"domain \"home.example\" { deliver = \"maildir:mail/%%{domain}/%%{user}\", users = [\"u0\", \"u1\", \"u2\"], separator = \"+\" }\n"
		"%s%s"
		"route \"*\" { to = mx, tls = %s, mx = %s, connections = %u%s }\n"
		"queue { retry = [\"%llds\", \"1m\", \"5m\"], lifetime = %llds, delay_notice = %s, return_breaker = %d }\n"
		"limits { disk_free = 0, connections = %d, timeout = 5m%s }\n"
		"history { keep = %s }\n"
		"http { bind = \"\" }\n",
		listens[rng_below(rng, 2)], secret, rated,
		t->secret && sim_chance(rng, 0.5) ? "opportunistic" : "off",
		sim_chance(rng, 0.3) ? "latency" : "preference", t->connections,
		sim_chance(rng, 0.3) ? ", timeout = 1m" : "", (long long)sim_between(rng, 1, 60),
		(long long)t->lifetime / 1000, sim_chance(rng, 0.5) ? "10m" : "0",
		sim_chance(rng, 0.5) ? 100 : 0, (int)sim_between(rng, 3, 100),
		sim_chance(rng, 0.2) ? ", memory = 16M" : "", sim_chance(rng, 0.7) ? "1d" : "0");
}

/* ---- trouble ---- */

static void choose_disk(struct town *t)
{
	struct rng *rng = &t->faults;
	struct disk_traits *d = &t->disk.traits;
	*d = (struct disk_traits){.capacity = 4ull << 30,
		.call_us = sim_skewed(rng, 1, 2000),
		.sync_us = sim_skewed(rng, 10, 20000)};
	d->applied = rng_unit(rng);
	d->garbled = sim_chance(rng, 0.4) ? rng_unit(rng) * (1 - d->applied) : 0;
	d->torn = sim_chance(rng, 0.7) ? rng_unit(rng) : 0;
	d->names_in_order = sim_chance(rng, 0.5);
	if (sim_chance(rng, 0.3)) d->slow = 0.01;
	if (!t->options.faults || sim_chance(rng, 0.6)) return;
	t->ledger.disk_faults = true;
	if (sim_chance(rng, 0.3)) d->read_error = 0.002;
	if (sim_chance(rng, 0.5)) d->write_error = 0.05 * rng_unit(rng);
	if (sim_chance(rng, 0.6)) d->sync_error = 0.1 * rng_unit(rng);
	if (sim_chance(rng, 0.3)) d->name_error = 0.1 * rng_unit(rng);
	d->forgets = sim_chance(rng, 0.6);
	d->evicts = sim_chance(rng, 0.5);
}

static void choose_network(struct town *t)
{
	struct rng *rng = &t->faults;
	struct net_traits *n = &t->net.traits;
	n->delay_us = sim_skewed(rng, 50, 200000);
	n->split = rng_unit(rng) * 0.5;
	n->window = (uint32_t)sim_skewed(rng, 500, 64 << 10);
	if (!t->options.faults) return;
	n->slow = sim_chance(rng, 0.3) ? 0.01 : 0;
	n->reset = sim_chance(rng, 0.4) ? 0.01 * rng_unit(rng) : 0;
	n->cut = sim_chance(rng, 0.4) ? 0.003 * rng_unit(rng) : 0;
	t->dns.servfail = sim_chance(rng, 0.4) ? 0.3 * rng_unit(rng) : 0;
	t->dns.timeout = sim_chance(rng, 0.3) ? 0.2 * rng_unit(rng) : 0;
	t->dns.bogus = sim_chance(rng, 0.2) ? 0.1 : 0;
	t->dns.partial = sim_chance(rng, 0.2) ? 0.3 : 0;
}

void town_change(struct town *t)
{
	struct rng *rng = &t->faults;
	if (t->calm) return;
	if (sim_chance(rng, 0.3)) choose_network(t);
	for (uint32_t i = 0; i < t->host_count; i++)
		if (sim_chance(rng, 0.5)) choose_temper(t, &t->hosts[i]);
	if (t->options.faults && sim_chance(rng, 0.1))
		choose_temper(t, &t->senders);
	else
		t->senders.temper = TEMPER_GOOD;
	t->senders.fate = HOST_THERE;
}

void town_calm(struct town *t)
{
	t->calm = true;
	disk_heal(&t->disk);
	dns_heal(&t->dns);
	net_heal(&t->net);
	t->net.fate = fate_of;
	for (uint32_t i = 0; i < t->host_count; i++) choose_temper(t, &t->hosts[i]);
	t->senders.temper = TEMPER_GOOD;
}

/* ---- all of it ---- */

void town_make(struct town *t, const struct sim_options *options)
{
	struct rng rng;
	rng_init(&rng, options->seed ^ 0x70a4);
	t->options = *options;
	world_init(&t->world, options->seed, options->verbose);
	rng_init(&t->load, rng_next(&rng));
	rng_init(&t->faults, rng_next(&rng));
	net_init(&t->net, &t->world, rng_next(&rng));
	dns_init(&t->dns, &t->world, rng_next(&rng));
	disk_init(&t->disk, &t->world, rng_next(&rng));
	ledger_init(&t->ledger, &t->world, &t->net);
	t->net.fate = fate_of;
	t->net.context = t;
	list_init(&t->clients);
	machine_init(&t->outside, &t->world, &t->net, "town", rng_next(&rng));
	t->outside.address = (struct net_address){.family = NET_IPV4, .octets = {10, 9, 9, 9}};

	t->letters = (uint64_t)sim_skewed(&rng, 1, TOWN_LETTERS_MAX);
	if (options->messages && t->letters > options->messages) t->letters = options->messages;
	t->unrest = (uint64_t)sim_skewed(&rng, 1, 30);
	t->odd = sim_chance(&rng, 0.3) ? 0.1 : 0;
	t->rude_clients = sim_chance(&rng, 0.7) ? rng_unit(&rng) : 0;
	t->connections = (uint32_t)sim_skewed(&rng, 1, 20);
	t->secret = sim_chance(&rng, 0.15);
	t->lifetime = sim_skewed(&rng, MINUTES(20), t->secret ? HOURS(1) : DAYS(2));
	t->length = sim_skewed(&rng, MINUTES(1), HOURS(6));
	t->segment_size = (uint32_t)sim_skewed(&rng, 256, 8192) << 10;
	t->ledger.lifetime_us = t->lifetime * 1000;
	t->ledger.room = t->letters;
	t->ledger.letters = calloc(t->letters, sizeof *t->ledger.letters);
	ASSERT(t->ledger.letters);
	t->host_count = (uint32_t)sim_between(&rng, 1, TOWN_HOSTS);
	for (uint32_t i = 0; i < t->host_count; i++) make_host(t, &t->hosts[i], i + 1, &rng);
	make_host(t, &t->senders, 200, &rng);
	t->senders.domains = 1;
	dns_add_mx(dns_add_domain(&t->dns, "senders.example"), 10, "host200.example");
	t->domain_count = (uint32_t)sim_between(&rng, 1, TOWN_DOMAINS);
	for (uint32_t i = 0; i < t->domain_count; i++) make_domain(t, i, &rng);
	t->rated = t->domain_count > 1 && sim_chance(&rng, 0.15);
	for (uint32_t i = 0; i < t->host_count; i++) choose_temper(t, &t->hosts[i]);
	write_config(t, &rng);
	choose_disk(t);
	choose_network(t);
	hosts_open(t);
	machine_serve(&t->outside);
}

void town_release(struct town *t)
{
	clients_close(t);
	hosts_close(t);
	t->outside.running = false;
	machine_release(&t->outside);
	machine_release(&t->machine);
	net_release(&t->net);
	dns_release(&t->dns);
	disk_release(&t->disk);
	ledger_release(&t->ledger);
	fibers_release(&t->world);
	world_release(&t->world);
}
