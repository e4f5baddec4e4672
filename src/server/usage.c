/* What accounts send, kept across restarts; and the mail of those that are held, taken out of the queue's way in slices.  */
#include "io/file.h"
#include "server/parts.h"

#include <errno.h>
#include <stdlib.h>

enum {
	FILE_MAX = 256 << 20,
	SAVE_MS = 60 * 1000,
	SLICE_US = 4000,
	SLICE_PAUSE_MS = 5,
};

/* All mail of one account is to be held, or released.  */
struct sweep {
	struct list link;
	enum queue_act act;
	slot at;
	uint32_t recipients;
	size_t name_len;
	char name[];
};

struct server_usage {
	struct server *server;
	struct usage usage;
	struct timer save_timer;
	struct timer sweep_timer;
	struct list sweeps;
	struct io_work save;
	struct buf text; /* the worker's while saving */
	int error;
	bool saving;
	bool urgent; /* what has changed meanwhile is to be saved at once */
	char *path;
};

/* ---- the file ---- */

static void complain(struct server_usage *x, struct str why)
{
	log_begin(x->server->log, LOG_ERROR, STR_NONE, "usage-failed");
	log_str(x->server->log, "path", str_from_c(x->path));
	log_str(x->server->log, "why", why);
	log_end(x->server->log);
}

static void load(struct server_usage *x)
{
	struct buf text, why;
	buf_init(&text, FILE_MAX);
	buf_init(&why, 200);
	int error = io_file_load(x->server->io, x->path, &text);
	if (error && error != -ENOENT) complain(x, str_from_c(strerror(-error)));
	if (!error && !usage_load(&x->usage, buf_str(&text), &why)) complain(x, buf_str(&why));
	x->usage.changed = false;
	buf_release(&text);
	buf_release(&why);
}

/* On the thread.  */
static void save_run(struct io_work *work)
{
	struct server_usage *x = CONTAINER_OF(work, struct server_usage, save);
	x->error = io_file_save(x->server->io, x->path, buf_str(&x->text));
}

static void save(struct server_usage *x);

static void save_done(struct io_work *work)
{
	struct server_usage *x = CONTAINER_OF(work, struct server_usage, save);
	x->saving = false;
	buf_release(&x->text);
	if (x->error) complain(x, str_from_c(strerror(-x->error)));
	if (x->urgent)
		save(x);
	else if (x->usage.changed)
		server_usage_changed(x->server);
}

static void save(struct server_usage *x)
{
	struct server *s = x->server;
	if (x->saving || !x->usage.changed || !s->history_workers) return;
	if (!usage_store(&x->usage, &x->text)) {
		complain(x, STR("out of memory"));
		buf_release(&x->text);
		return;
	}
	x->saving = true;
	x->urgent = false;
	x->save.run = save_run;
	x->save.done = save_done;
	io_work(s->history_workers, &x->save);
}

/* Who is held must be so after a crash as well.  */
static void save_now(struct server_usage *x)
{
	x->usage.changed = x->urgent = true;
	save(x);
}

static void save_timer(struct timer *timer)
{
	save(CONTAINER_OF(timer, struct server_usage, save_timer));
}

void server_usage_changed(void *context)
{
	struct server *s = context;
	struct server_usage *x = s->usage;
	if (!timer_is_set(&x->save_timer))
		io_timer_set(s->io, &x->save_timer, io_now(s->io) + SAVE_MS);
}

/* ---- its mail ---- */

static bool is_of(struct server *s, slot message, struct str account)
{
	struct spool_reader reader;
	if (spool_message(spool_index(s->spool), message)->id == 0) return false;
	if (spool_read_open(s->spool, message, &reader) != 0) return false;
	bool is = str_ieq(reader.envelope.account, account);
	spool_read_close(&reader);
	return is;
}

static void sweep_end(struct server_usage *x, struct sweep *sweep)
{
	struct log *log = x->server->log;
	log_begin(log, LOG_INFO, STR_NONE,
		sweep->act == QUEUE_HOLD ? "account-mail-held" : "account-mail-released");
	log_str(log, "account", str_of(sweep->name, sweep->name_len));
	log_i64(log, "recipients", sweep->recipients);
	log_end(log);
	list_remove(&sweep->link);
	free(sweep);
}

/* One slice; the rest comes when others had their turn.  */
static void sweep_timer(struct timer *timer)
{
	struct server_usage *x = CONTAINER_OF(timer, struct server_usage, sweep_timer);
	struct server *s = x->server;
	if (list_empty(&x->sweeps)) return;
	struct sweep *sweep = CONTAINER_OF(x->sweeps.next, struct sweep, link);
	int64_t began = io_now_us(s->io);
	slot end = spool_message_end(spool_index(s->spool));
	for (; sweep->at < end && io_now_us(s->io) - began < SLICE_US; sweep->at++)
		if (is_of(s, sweep->at, str_of(sweep->name, sweep->name_len)))
			sweep->recipients += queue_act_message(s->queue, sweep->at, sweep->act,
				sweep->act == QUEUE_HOLD ? "breaker" : "operator", io_now(s->io),
				io_wall(s->io));
	if (sweep->at >= end) sweep_end(x, sweep);
	if (!list_empty(&x->sweeps))
		io_timer_set(s->io, &x->sweep_timer, io_now(s->io) + SLICE_PAUSE_MS);
}

static void sweep_begin(struct server_usage *x, struct str account, enum queue_act act)
{
	struct sweep *sweep = malloc(sizeof *sweep + account.len);
	if (!sweep) {
		complain(x, STR("out of memory"));
		return;
	}
	*sweep = (struct sweep){.act = act, .at = 1, .name_len = account.len};
	memcpy(sweep->name, account.ptr, account.len);
	list_push_back(&x->sweeps, &sweep->link);
	if (!timer_is_set(&x->sweep_timer))
		io_timer_set(x->server->io, &x->sweep_timer, io_now(x->server->io));
}

static void held(const struct usage_account *a, void *context)
{
	struct server_usage *x = context;
	struct log *log = x->server->log;
	log_begin(log, LOG_WARN, STR_NONE, "account-held");
	log_str(log, "account", a->name);
	log_str(log, "why", str_from_c(a->why));
	log_str(log, "what",
		STR("it may have been taken over; `rockdove user release` lets it and its mail go"));
	log_end(log);
	sweep_begin(x, a->name, QUEUE_HOLD);
	save_now(x);
}

static void released(const struct usage_account *a, void *context)
{
	struct server_usage *x = context;
	log_begin(x->server->log, LOG_INFO, STR_NONE, "account-released");
	log_str(x->server->log, "account", a->name);
	log_str(x->server->log, "by", STR("operator"));
	log_end(x->server->log);
	sweep_begin(x, a->name, QUEUE_RELEASE);
	save_now(x);
}

/* ---- begin and end ---- */

void server_usage_failed(void *context, struct str account)
{
	struct server *s = context;
	if (!s->usage || s->stopped) return;
	usage_failed(&s->usage->usage, account, io_wall(s->io));
	server_usage_changed(s);
}

struct usage *server_usage(struct server *s) { return &s->usage->usage; }

bool server_open_usage(struct server *s, uint64_t seed)
{
	struct server_usage *x = calloc(1, sizeof *x);
	struct str state = server_config(s)->state;
	size_t size = state.len + sizeof "/usage";
	if (!x || !(x->path = malloc(size))) {
		free(x);
		return false;
	}
	snprintf(x->path, size, STR_FMT "/usage", STR_ARG(state));
	x->server = s;
	x->save_timer.fire = save_timer;
	x->sweep_timer.fire = sweep_timer;
	list_init(&x->sweeps);
	buf_init(&x->text, FILE_MAX);
	usage_init(&x->usage, seed);
	load(x);
	s->usage = x;
	x->usage.held = held;
	x->usage.released = released;
	x->usage.context = x;
	for (struct map_node *n = NULL; (n = map_next(&x->usage.accounts, n));) {
		const struct usage_account *a = CONTAINER_OF(n, struct usage_account, node);
		if (a->held)
			sweep_begin(
				x, a->name, QUEUE_HOLD); /* the end may have come in the midst */
	}
	return true;
}

/* The workers have stopped.  */
void server_close_usage(struct server *s)
{
	struct server_usage *x = s->usage;
	s->usage = NULL;
	if (!x) return;
	io_timer_cancel(s->io, &x->save_timer);
	io_timer_cancel(s->io, &x->sweep_timer);
	buf_clear(&x->text);
	if ((x->usage.changed || x->saving) && usage_store(&x->usage, &x->text)) {
		int error = io_file_save(s->io, x->path, buf_str(&x->text));
		if (error) complain(x, str_from_c(strerror(-error)));
	}
	for (struct list *node; (node = list_pop(&x->sweeps));)
		free(CONTAINER_OF(node, struct sweep, link));
	buf_release(&x->text);
	usage_release(&x->usage);
	free(x->path);
	free(x);
}
