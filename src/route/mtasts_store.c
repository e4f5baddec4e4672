/* The policies on disk: one file, replaced as a whole.  A policy is a line "DOMAIN ID TIME", its own lines and an empty one.  */
#include "io/file.h"
#include "mail/address.h"
#include "route/mtasts_private.h"

#include <errno.h>

enum { SAVE_AFTER_MS = 2000 };

/* ---- writing ---- */

static void write_entry(struct buf *out, const struct mtasts_entry *e)
{
	struct mtasts_policy policy = {.mode = e->known->policy.mode,
		.max_age = e->known->max_age,
		.mx_count = e->known->policy.mx_count};
	for (uint32_t i = 0; i < policy.mx_count; i++) policy.mx[i] = e->known->policy.mx[i];
	buf_printf(out, "%s %s ", e->domain, e->known->id);
	clock_add_rfc3339(out, e->known->fetched);
	buf_add_c(out, '\n');
	mtasts_write_policy(out, &policy, "");
	buf_add_c(out, '\n');
}

/* The most recently used come first, so that these are kept when not all fit.  */
static void write_all(struct mtasts *m)
{
	buf_clear(&m->text);
	LIST_EACH (&m->used, node) {
		const struct mtasts_entry *e = CONTAINER_OF(node, struct mtasts_entry, link);
		if (!mtasts_entry_counts(e)) continue;
		size_t before = m->text.len;
		write_entry(&m->text, e);
		if (buf_ok(&m->text)) continue;
		m->text.len = before;
		break;
	}
}

static void complain(struct mtasts *m, const char *what, const char *why)
{
	log_begin(m->options.log, LOG_ERROR, STR_NONE, what);
	log_str(m->options.log, "path", str_from_c(m->path));
	log_str(m->options.log, "why", str_from_c(why));
	log_end(m->options.log);
}

static void run(struct io_work *work)
{
	struct mtasts *m = CONTAINER_OF(work, struct mtasts, work);
	m->error = io_file_save(m->io, m->path, buf_str(&m->text));
}

static void done(struct io_work *work)
{
	struct mtasts *m = CONTAINER_OF(work, struct mtasts, work);
	m->saving = false;
	buf_release(&m->text);
	if (m->error) complain(m, "mta-sts-not-saved", strerror(-m->error));
	if (m->dirty) mtasts_changed(m);
}

static void save_fired(struct timer *timer)
{
	struct mtasts *m = CONTAINER_OF(timer, struct mtasts, save);
	m->dirty = false;
	m->saving = true;
	write_all(m);
	m->work = (struct io_work){.run = run, .done = done};
	io_work(m->options.workers, &m->work);
}

void mtasts_changed(struct mtasts *m)
{
	if (!m->path) return;
	m->dirty = true;
	m->save.fire = save_fired;
	if (!m->saving && !timer_is_set(&m->save))
		io_timer_set(m->io, &m->save, io_now(m->io) + SAVE_AFTER_MS);
}

void mtasts_save_now(struct mtasts *m)
{
	io_timer_cancel(m->io, &m->save);
	ASSERT(!m->saving); /* the workers were stopped before */
	if (!m->dirty) return;
	m->dirty = false;
	write_all(m);
	int error = io_file_save(m->io, m->path, buf_str(&m->text));
	if (error) complain(m, "mta-sts-not-saved", strerror(-error));
}

/* ---- reading ---- */

static bool is_id(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_alnum(s.ptr[i])) return false;
	return s.len > 0 && s.len <= MTASTS_ID_MAX;
}

/* block: without the empty line.  */
static bool read_entry(struct mtasts *m, struct str block)
{
	struct str line, domain, id;
	struct mtasts_policy policy;
	msec fetched;
	str_cut(&block, '\n', &line);
	if (!str_cut(&line, ' ', &domain) || !str_cut(&line, ' ', &id)) return false;
	if (!domain_valid(domain, false) || !is_id(id) || !clock_parse_rfc3339(line, &fetched))
		return false;
	if (mtasts_read_policy(block, &policy)) return false;
	/* A clock that was wrong does not make a policy last.  */
	if (fetched > io_wall(m->io)) fetched = io_wall(m->io);
	struct mtasts_entry *e = mtasts_entry_make(m, domain);
	char text[MTASTS_ID_MAX + 1] = "";
	memcpy(text, id.ptr, id.len);
	if (e && !e->known) e->known = mtasts_known_new(&policy, text, fetched);
	/* The first in the file was used last.  */
	if (e) list_remove(&e->link), list_push_back(&m->used, &e->link);
	return true;
}

void mtasts_load(struct mtasts *m)
{
	if (!m->path) return;
	struct buf text;
	buf_init(&text, MTASTS_FILE_MAX);
	int error = io_file_load(m->io, m->path, &text);
	if (error && error != -ENOENT) complain(m, "mta-sts-not-read", strerror(-error));
	struct str rest = error ? STR_NONE : buf_str(&text);
	size_t damaged = 0;
	while (rest.len) {
		size_t end = 0;
		while (end + 1 < rest.len && (rest.ptr[end] != '\n' || rest.ptr[end + 1] != '\n'))
			end++;
		damaged += !read_entry(m, str_head(rest, end + 1));
		rest = str_skip(rest, end + 2 < rest.len ? end + 2 : rest.len);
	}
	if (damaged) complain(m, "mta-sts-not-read", "some of it makes no sense and is left out");
	buf_release(&text);
}
