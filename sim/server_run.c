/* The whole server in its town.  A time of troubles, in which the power is cut, the process killed, stopped and told to read
 * its configuration again; then all is calm, and everything must come to its end.  */
#include "sim/town.h"

#include "queue/queue.h"
#include "server/parts.h"

#include <errno.h>

enum {
	DRAIN_US = 3 * 3600 *
		1000000ll, /* the longest pause of a retry or a peer's silence is far less */
	CHECK_US = 20 * 1000000,
	RESTART_US = 20 * 1000000,
	LATE_MS = 40 * 60 * 1000,
};

/* ---- the spool in small segments, so that they are sealed, freed and compacted ---- */

int __real_spool_open(struct io *io, const struct spool_options *options, struct spool **ret,
	struct spool_report *ret_report, const char **ret_why);
int __wrap_spool_open(struct io *io, const struct spool_options *options, struct spool **ret,
	struct spool_report *ret_report, const char **ret_why);

int __wrap_spool_open(struct io *io, const struct spool_options *options, struct spool **ret,
	struct spool_report *ret_report, const char **ret_why)
{
	struct spool_options small = *options;
	if (io->segment_size) small.segment_size = io->segment_size;
	return __real_spool_open(io, &small, ret, ret_report, ret_why);
}

/* ---- what happens while it runs ---- */

static void check_server(struct town *t)
{
	if (!t->server || t->machine.dead) return;
	spool_check(t->server->spool);
	queue_check(t->server->queue);
}

/* What a server that has been running for a while still has is not too old.  A report has an age of its own.  */
static void check_ages(struct town *t)
{
	if (!t->server || t->server->stopping || t->ledger.disk_faults) return;
	if (t->world.now_us - t->began_us < (int64_t)LATE_MS * 1000) return;
	const struct spool_index *x = spool_index(t->server->spool);
	for (slot i = 1; i < spool_message_end(x); i++) {
		const struct spool_message *m = spool_message(x, i);
		msec age = m->id ? io_wall(&t->machine) - spool_created(m->id) : 0;
		if (age > t->lifetime + LATE_MS)
			sim_violation(&t->world,
				"a message is %lld s old, and the lifetime is %lld s",
				(long long)age / 1000, (long long)t->lifetime / 1000);
	}
}

static void check(struct sim_event *event)
{
	struct town *t = CONTAINER_OF(event, struct town, check);
	check_server(t);
	check_ages(t);
	world_plan(&t->world, &t->check, t->world.now_us + CHECK_US);
}

static void mood(struct sim_event *event)
{
	struct town *t = CONTAINER_OF(event, struct town, mood);
	town_change(t);
	if (!t->calm)
		world_plan(&t->world, &t->mood,
			t->world.now_us + sim_skewed(&t->faults, 1000000, 3600 * 1000000ll));
}

static void arrival(struct sim_event *event)
{
	struct town *t = CONTAINER_OF(event, struct town, arrival);
	if (t->ledger.count >= t->letters) return;
	if (clients_open(t) < TOWN_CLIENTS) client_begin(t);
	int64_t spread = t->length * 1000 / (int64_t)(t->letters / 3 + 1) + 1000;
	world_plan(&t->world, &t->arrival,
		t->world.now_us + sim_between(&t->load, 0, t->calm ? 1000000 : spread));
}

static struct config *read_config(struct town *t)
{
	struct buf complaints;
	buf_init(&complaints, 1 << 16);
	struct config *config = config_read(
		&t->machine, STR("/etc/rockdove.conf"), STR("sim.example"), &complaints);
	if (!config && !t->machine.dead) world_tell(&t->world, "config", buf_str(&complaints));
	buf_release(&complaints);
	return config;
}

enum trouble { TROUBLE_NONE, TROUBLE_POWER, TROUBLE_KILL, TROUBLE_STOP, TROUBLE_RELOAD };

static enum trouble choose_trouble(struct town *t)
{
	uint64_t dice = rng_below(&t->faults, 10);
	if (dice < 2) return TROUBLE_RELOAD;
	if (!t->options.crashes || dice < 4) return TROUBLE_STOP;
	return dice < 6 ? TROUBLE_KILL : TROUBLE_POWER;
}

static void plan_trouble(struct town *t)
{
	if (t->calm) return;
	world_plan(&t->world, &t->trouble,
		t->world.now_us +
			sim_skewed(&t->faults, 100000, t->length * 1000 / (int64_t)t->unrest));
	if (t->options.crashes && sim_chance(&t->faults, 0.3))
		t->machine.calls_left = sim_skewed(&t->faults, 1, 3000);
}

static void trouble(struct sim_event *event)
{
	struct town *t = CONTAINER_OF(event, struct town, trouble);
	if (t->calm) return;
	enum trouble kind = choose_trouble(t);
	world_note(&t->world, "trouble", kind, 0);
	struct config *config;
	switch (kind) {
	case TROUBLE_NONE:
	case TROUBLE_POWER: machine_cut_power(&t->machine); return;
	case TROUBLE_KILL: t->machine.dead = t->machine.stopping = t->killed = true; return;
	case TROUBLE_STOP:
		server_stop(t->server);
		machine_wake(&t->machine);
		break;
	case TROUBLE_RELOAD:
		config = read_config(t);
		if (config) (void)server_reload(t->server, config);
		machine_wake(&t->machine);
		break;
	}
	plan_trouble(t);
}

/* ---- lives ---- */

static void new_machine(struct town *t)
{
	if (t->machine.world) machine_release(&t->machine);
	machine_init(&t->machine, &t->world, &t->net, "server", rng_next(&t->world.rng));
	t->machine.disk = &t->disk;
	t->machine.dns = &t->dns;
	t->machine.segment_size = t->segment_size;
	t->machine.wall = 1800000000000;
	t->machine.address = (struct net_address){.family = NET_IPV4, .octets = {192, 0, 2, 1}};
	t->killed = false;
}

/* The world goes on without the server.  */
static void pause_server(struct town *t, int64_t us)
{
	int64_t until = t->world.now_us + us;
	for (;;) {
		struct heap_node *next = heap_first(&t->world.events);
		if (!next || next->key > until) break;
		(void)world_step(&t->world);
	}
	t->world.now_us = until;
}

static bool begin_life(struct town *t)
{
	new_machine(t);
	if (!t->calm && t->options.crashes && sim_chance(&t->faults, 0.2))
		t->machine.calls_left = sim_skewed(&t->faults, 1, 100);
	sim_log_init(&t->log, &t->machine);
	t->lives++;
	t->began_us = t->world.now_us;
	struct config *config = read_config(t);
	int code = 0;
	t->server = config ? server_new(&t->machine, &t->log, config, &code) : NULL;
	world_note(&t->world, "server-begins", t->server != NULL, (uint64_t)code);
	if (!t->server && !t->machine.dead && !t->ledger.disk_faults)
		sim_violation(&t->world, "the server does not start (%d)", code);
	if (t->server && !t->machine.dead) t->machine.calls_left = 0;
	if (t->server && !t->machine.dead) ledger_started(&t->ledger);
	return t->server && !t->machine.dead;
}

static void end_life(struct town *t)
{
	if (!t->machine.dead && t->server) {
		check_server(t);
		server_free(t->server); /* in which the power may go */
	}
	bool dead = t->machine.dead;
	if (dead || (t->ledger.disk_faults && !t->calm)) ledger_crashed(&t->ledger, t->killed);
	if (dead) machine_abandon(&t->machine); /* a crash frees nothing and runs nothing */
	t->server = NULL;
	world_forget(&t->world, &t->trouble);
	world_note(&t->world, "server-ends", dead, t->killed);
	log_release(&t->log);
	net_machine_gone(&t->net, &t->machine);
	bool cut = dead ? !t->killed : sim_chance(&t->faults, 0.3);
	if (cut) disk_power_cut(&t->disk);
}

static void live(struct town *t, int64_t until_us)
{
	world_plan(&t->world, &t->until, until_us);
	plan_trouble(t);
	io_run(&t->machine);
	world_forget(&t->world, &t->until);
}

static void until(struct sim_event *event)
{
	struct town *t = CONTAINER_OF(event, struct town, until);
	io_stop(&t->machine);
}

static void time_of_troubles(struct town *t)
{
	int64_t end = t->world.now_us + t->length * 1000;
	while (t->world.now_us < end) {
		if (begin_life(t)) live(t, end);
		bool runs = t->server && !t->machine.dead && !t->server->stopping;
		if (t->world.now_us >= end && runs) return; /* on into the calm */
		end_life(t);
		pause_server(t, sim_skewed(&t->faults, 1000, RESTART_US));
	}
}

static bool is_drained(struct town *t)
{
	struct queue_stats stats;
	if (t->ledger.count < t->letters || clients_open(t) > 0) return false;
	queue_stats(t->server->queue, &stats);
	return stats.messages == 0 && spool_message_count(spool_index(t->server->spool)) == 0;
}

static void tell_queue(struct town *t)
{
	const struct spool_index *x = spool_index(t->server->spool);
	for (slot s = 1; s < spool_recipient_end(x); s++) {
		const struct spool_recipient *r = spool_recipient(x, s);
		if (r->state == RECIPIENT_FREE || r->state == RECIPIENT_DONE) continue;
		struct arena arena;
		struct queue_view view;
		arena_init(&arena, 1 << 20);
		queue_view(t->server->queue, s, &arena, io_now(&t->machine), io_wall(&t->machine),
			&view);
		fprintf(stderr, "  state %u attempts %u next in %lld s " STR_FMT ": " STR_FMT "\n",
			view.state, view.attempts,
			view.next_attempt
				? (long long)(view.next_attempt - io_wall(&t->machine)) / 1000
				: 0,
			STR_ARG(view.destination), STR_ARG(view.reason));
		arena_release(&arena);
	}
}

static void drain(struct town *t)
{
	town_calm(t);
	if (!t->server) {
		t->ledger.disk_faults = false;
		if (!begin_life(t))
			sim_violation(&t->world, "the server does not start when all is well");
	}
	t->machine.calls_left = 0;
	world_plan(&t->world, &t->arrival, t->world.now_us);
	int64_t last = t->world.now_us + DRAIN_US;
	while (!is_drained(t) && t->world.now_us < last) live(t, t->world.now_us + 10 * 1000000);
	if (is_drained(t)) return;
	fprintf(stderr, "letters %llu of %llu, clients %u\n", (unsigned long long)t->ledger.count,
		(unsigned long long)t->letters, clients_open(t));
	tell_queue(t);
	sim_violation(&t->world, "the queue does not drain");
}

/* ---- mailboxes ---- */

static void read_mailbox_file(struct town *t, const char *path)
{
	uint64_t len;
	char *content = disk_content(&t->disk, path, &len);
	struct str all = str_of(content, len);
	static const char mark[] = "\nX-Sim: ";
	char *at = memmem(content, len, mark, sizeof mark - 1);
	if (!at) sim_violation(&t->world, "a file in a mailbox is none of ours: %s", path);
	uint64_t number = strtoull(at + sizeof mark - 1, NULL, 10);
	struct letter *letter =
		number > 0 && number <= t->ledger.count ? &t->ledger.letters[number - 1] : NULL;
	if (!letter)
		sim_violation(&t->world, "a mailbox has letter %llu", (unsigned long long)number);
	uint32_t i = 0;
	while (i < letter->recipient_count && !letter->local[i]) i++;
	if (i == letter->recipient_count)
		sim_violation(&t->world, "letter %llu is in a mailbox", (unsigned long long)number);
	ledger_in_mailbox(&t->ledger, letter, i);
	ledger_compare(&t->ledger, letter, all, true, false);
	free(content);
}

static void read_mailboxes(struct town *t)
{
	static const char prefix[] = "/state/mail/";
	LIST_EACH (&t->disk.names, node) {
		const struct disk_name *name = CONTAINER_OF(node, struct disk_name, link);
		if (!name->now || name->now->directory ||
			strncmp(name->path, prefix, sizeof prefix - 1) != 0)
			continue;
		if (strstr(name->path, "/new/")) read_mailbox_file(t, name->path);
	}
}

/* ---- from begin to end ---- */

static void put_config(struct town *t)
{
	new_machine(t);
	int error = io_dir_make(&t->machine, "/etc");
	if (!error) error = io_file_save(&t->machine, "/etc/rockdove.conf", str_from_c(t->config));
	ASSERT(!error);
}

static void begin(struct town *t, const struct sim_options *options)
{
	*t = (struct town){0};
	town_make(t, options);
	struct disk_traits traits = t->disk.traits;
	disk_heal(&t->disk);
	put_config(t);
	t->disk.traits = traits;
	t->until.fire = until;
	t->trouble.fire = trouble;
	t->mood.fire = mood;
	t->arrival.fire = arrival;
	t->check.fire = check;
	world_plan(&t->world, &t->arrival, t->world.now_us);
	world_plan(&t->world, &t->mood, t->world.now_us + 1000000);
	world_plan(&t->world, &t->check, t->world.now_us + CHECK_US);
}

void server_run(const struct sim_options *options, struct sim_result *ret)
{
	static struct town town;
	struct town *t = &town;
	begin(t, options);
	time_of_troubles(t);
	drain(t);
	check_server(t);
	end_life(t);
	read_mailboxes(t);
	ledger_settle(&t->ledger);
	*ret = (struct sim_result){.trace = t->world.trace,
		.steps = t->world.steps,
		.messages = t->accepted_replies,
		.crashes = t->ledger.crash_count,
		.checked = t->ledger.compared,
		.refused = t->refused_replies,
		.faults = t->disk.failures + t->net.resets,
		.virtual_us = t->world.now_us};
	town_release(t);
}
