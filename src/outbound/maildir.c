/* Delivery into Maildirs: tmp, sync, rename into new, sync of new; on threads of its own, in steps of bounded memory.
 *
 * A file's name is made of queue id and recipient: what a crash makes us deliver again replaces itself
 * instead of standing there twice, as long as nobody has moved it.  */
#include "mail/trace.h"
#include "outbound/parts.h"

#include <errno.h>
#include <stdlib.h>

enum { STEP_OCTETS = 1 << 20, PATH_MAX_OCTETS = 4000 };

/* One job on its way into mailboxes, one recipient after the other.  */
struct delivery {
	struct outbound *outbound;
	struct destination *destination;
	struct queue_job *job;
	struct list link; /* in outbound->deliveries */
	struct io_work work;
	struct spool_reader reader;
	struct outcome *outcomes; /* job->count */
	uint32_t at;              /* recipient being served */

	/* The file being written; the worker's while the work runs.  */
	struct buf content; /* of this step; CRLF becomes LF */
	struct io_file file;
	char box[PATH_MAX_OCTETS]; /* the Maildir */
	char tmp[PATH_MAX_OCTETS + 300];
	char new[PATH_MAX_OCTETS + 300];
	uint64_t offset; /* in the file */
	bool carry_cr;   /* the last octet was a CR, not written yet */
	bool last;       /* this step ends the file */
	bool served;     /* somebody has got it */
	int error; /* of this step; set before the work: clear away what the steps before have made */
};

/* ---- paths ---- */

/* Octets that would lead elsewhere are written %XX: slashes, controls, a dot in front.  */
static void add_path_part(struct buf *path, struct str part)
{
	for (size_t i = 0; i < part.len; i++) {
		unsigned char c = (unsigned char)part.ptr[i];
		if (c < 0x20 || c == 0x7f || c == '/' || c == '%' || (c == '.' && i == 0))
			buf_printf(path, "%%%02X", c);
		else
			buf_add_c(path, (char)c);
	}
}

/* The Maildir of a user by the rule's template.  False: too long, or an empty user.  */
static bool expand_template(
	struct buf *path, struct str template, struct str user, struct str domain)
{
	while (template.len) {
		if (str_starts(template, STR("%{user}"))) {
			add_path_part(path, user);
			template = str_skip(template, 7);
		} else if (str_starts(template, STR("%{domain}"))) {
			add_path_part(path, domain);
			template = str_skip(template, 9);
		} else {
			buf_add_c(path, template.ptr[0]);
			template = str_skip(template, 1);
		}
	}
	return buf_ok(path) && user.len > 0;
}

static bool find_box(struct delivery *d, const struct route_rule *rule, struct str address)
{
	struct address a;
	if (!address_parse(address, true, true, &a)) return false;
	const struct local_domain *domain = domain_find(d->outbound->domains, a.domain);
	struct buf user;
	buf_init(&user, 1024);
	struct buf path = {.ptr = d->box, .cap = sizeof d->box, .max = sizeof d->box - 1};
	bool ok = domain && domain_mailbox(domain, &a, &user) &&
		expand_template(&path, rule->maildir, buf_str(&user), domain->name);
	d->box[path.len] = '\0';
	buf_release(&user);
	return ok;
}

/* Names in tmp and new: seconds, queue id and recipient, host (its '/' and ':' may not stand in a name).  */
static void name_files(struct delivery *d)
{
	char id[SPOOL_ID_LEN + 1];
	struct buf name;
	buf_init(&name, 290);
	buf_printf(&name, "%lld.Q" STR_FMT "R%u.", (long long)(spool_created(d->job->id) / 1000),
		STR_ARG(spool_id_text(d->job->id, id)), d->job->indices[d->at]);
	struct str host = str_head(d->outbound->parts.hostname, 200);
	for (size_t i = 0; i < host.len; i++)
		buf_add_c(&name, host.ptr[i] == '/' || host.ptr[i] == ':' ? '_' : host.ptr[i]);
	snprintf(d->tmp, sizeof d->tmp, "%s/tmp/" STR_FMT, d->box, STR_ARG(buf_str(&name)));
	snprintf(d->new, sizeof d->new, "%s/new/" STR_FMT, d->box, STR_ARG(buf_str(&name)));
	buf_release(&name);
}

/* ---- on the worker ---- */

/* CRLF becomes LF, in place; a CR at the end of the step waits for what follows.  */
static struct str unix_lines(struct delivery *d)
{
	struct buf *b = &d->content;
	size_t to = 0;
	for (size_t i = 0; i < b->len; i++) {
		if (b->ptr[i] == '\r' && i + 1 < b->len && b->ptr[i + 1] == '\n') continue;
		b->ptr[to++] = b->ptr[i];
	}
	d->carry_cr = !d->last && to > 0 && b->ptr[to - 1] == '\r';
	return str_of(b->ptr, d->carry_cr ? to - 1 : to);
}

static int make_box(struct io *io, const char *box)
{
	static const char *const parts[] = {"tmp", "new", "cur"};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		char path[PATH_MAX_OCTETS + 8];
		snprintf(path, sizeof path, "%s/%s", box, parts[i]);
		int error = io_path_exists(io, path) ? 0 : io_dir_make(io, path);
		if (error) return error;
	}
	return 0;
}

static int open_file(struct io *io, struct delivery *d)
{
	unsigned how = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE;
	int error = io_file_open(io, d->tmp, how, &d->file);
	if (error != -ENOENT) return error;
	error = make_box(io, d->box);
	return error ? error : io_file_open(io, d->tmp, how, &d->file);
}

static int finish_file(struct io *io, struct delivery *d)
{
	int error = io_file_sync(io, &d->file);
	io_file_close(io, &d->file);
	d->file.fd = -1;
	if (!error) error = io_rename(io, d->tmp, d->new);
	if (error == -ENOENT) { /* someone has taken `new` away */
		error = make_box(io, d->box);
		if (!error) error = io_rename(io, d->tmp, d->new);
	}
	if (error) return error;
	char new[PATH_MAX_OCTETS + 8];
	snprintf(new, sizeof new, "%s/new", d->box);
	return io_dir_sync(io, new);
}

static int run_step(struct io *io, struct delivery *d)
{
	int error = 0;
	if (d->file.fd < 0) error = open_file(io, d);
	if (error) return error;
	struct str lines = unix_lines(d);
	struct iovec part = {.iov_base = (void *)lines.ptr, .iov_len = lines.len};
	if (lines.len) error = io_file_write(io, &d->file, &part, 1, d->offset);
	d->offset += lines.len;
	return !error && d->last ? finish_file(io, d) : error;
}

static void run(struct io_work *work)
{
	struct delivery *d = CONTAINER_OF(work, struct delivery, work);
	struct io *io = d->outbound->parts.io;
	if (!d->error) d->error = run_step(io, d);
	if (!d->error) return;
	if (d->file.fd >= 0) io_file_close(io, &d->file);
	d->file.fd = -1;
	if (io_unlink(io, d->tmp) != 0) return; /* it may never have been made */
}

/* ---- on the loop ---- */

static void delivery_end(struct delivery *d)
{
	struct outbound *out = d->outbound;
	out->stats.attempts++;
	if (d->served) queue_served(out->queue, d->destination, outbound_now(out));
	queue_finish(out->queue, d->job, d->outcomes, outbound_now(out), outbound_wall(out));
	spool_read_close(&d->reader);
	buf_release(&d->content);
	list_remove(&d->link);
	struct destination *destination = d->destination;
	free(d->outcomes);
	free(d);
	queue_closed(out->queue, destination, outbound_now(out));
	outbound_check_stopped(out);
}

/* Fill the next step from the spool.  0 or -errno.  */
static int fill(struct delivery *d)
{
	d->last = false;
	while (d->content.len < STEP_OCTETS) {
		struct str octets;
		int error = spool_read(&d->reader, &octets);
		if (error) return error;
		if (octets.len == 0) {
			d->last = true;
			return 0;
		}
		if (!buf_add(&d->content, octets)) return -ENOMEM;
	}
	return 0;
}

static void settle_recipient(struct delivery *d, struct outcome outcome)
{
	outcome.host = STR("maildir");
	d->outcomes[d->at] = outcome;
	d->outbound->stats.delivered += outcome.class == OUTCOME_DELIVERED;
	d->served |= outcome.class == OUTCOME_DELIVERED;
	d->at++;
}

/* Errors of the disk are ours, or pass: tried again until the message's lifetime ends.  */
static struct outcome outcome_of_error(int error)
{
	switch (error) {
	case 0: return outcome_local(OUTCOME_DELIVERED, "2.0.0", STR("delivered to mailbox"));
	case -EDQUOT:
	case -ENOSPC:
		return outcome_local(
			OUTCOME_DEFERRED, "4.2.2", STR("no room on disk for the mailbox"));
	case -EACCES:
	case -EPERM:
		return outcome_local(OUTCOME_DEFERRED, "4.3.0", STR("mailbox: permission denied"));
	case -EBADMSG:
		return outcome_local(
			OUTCOME_DEFERRED, "4.3.0", STR("the message is damaged on our disk"));
	case -ENAMETOOLONG:
		return outcome_local(OUTCOME_FAILED, "5.1.3",
			STR("this address is too long for the name of a mailbox"));
	case -ENOTDIR:
		return outcome_local(OUTCOME_DEFERRED, "4.3.0",
			STR("mailbox: something that is no Maildir is in its place"));
	default:
		return outcome_local(
			OUTCOME_DEFERRED, "4.3.0", STR("mailbox cannot be written at present"));
	}
}

static void submit(struct delivery *d)
{
	d->error = fill(d);
	io_work(d->outbound->workers, &d->work);
}

/* A report of ours to a sender who does not live here must not make a mailbox; RCPT has asked for all other mail.  */
static bool is_unknown(struct delivery *d, struct str address)
{
	struct address a;
	struct str to[1];
	uint32_t count;
	struct arena arena;
	arena_init(&arena, 64 * 1024);
	bool unknown = address_parse(address, true, true, &a) &&
		domain_expand(d->outbound->domains, &a, 1, &arena, to, &count) == EXPAND_UNKNOWN;
	arena_release(&arena);
	return unknown;
}

/* False: it has its outcome already.  */
static bool begin_recipient(struct delivery *d)
{
	const struct envelope *e = &d->reader.envelope;
	const struct recipient *r = &e->recipients[d->job->indices[d->at]];
	if (e->flags & ENVELOPE_DSN && is_unknown(d, r->address)) {
		settle_recipient(d,
			outcome_local(OUTCOME_FAILED, "5.1.1", STR("there is no such user here")));
		return false;
	}
	if (!find_box(d, destination_rule(d->destination), r->address)) {
		settle_recipient(d,
			outcome_local(
				OUTCOME_FAILED, "5.1.3", STR("this address can have no mailbox")));
		return false;
	}
	name_files(d);
	d->file.fd = -1;
	d->offset = 0;
	d->carry_cr = false;
	spool_read_rewind(&d->reader);
	buf_clear(&d->content);
	trace_add_final(&d->content, e->reverse_path, r->original.len ? r->original : r->address);
	submit(d);
	return true;
}

/* A configuration that came meanwhile may send the rest elsewhere; and who leaves begins nothing.  */
static bool goes_on(const struct delivery *d)
{
	return !d->outbound->stopping && destination_rule(d->destination)->kind == ROUTE_MAILDIR;
}

static void next_recipient(struct delivery *d)
{
	while (d->at < d->job->count && goes_on(d)) {
		if (d->job->recipients[d->at] == 0)
			d->at++; /* deleted meanwhile */
		else if (begin_recipient(d))
			return;
	}
	delivery_end(d);
}

static void done(struct io_work *work)
{
	struct delivery *d = CONTAINER_OF(work, struct delivery, work);
	bool more = !d->error && !d->last;
	buf_clear(&d->content);
	if (!more) {
		settle_recipient(d, outcome_of_error(d->error));
		next_recipient(d);
		return;
	}
	if (d->carry_cr) buf_add_c(&d->content, '\r');
	submit(d);
}

void maildir_deliver(struct outbound *out, struct queue_job *job)
{
	struct destination *destination = job->destination;
	struct delivery *d = calloc(1, sizeof *d);
	struct outcome *outcomes = calloc(job->count, sizeof *outcomes);
	int error = d && outcomes ? spool_read_open(out->parts.spool, job->message, &d->reader)
				  : -ENOMEM;
	if (error) {
		struct outcome o = outcome_of_error(error);
		outbound_finish_all(out, job, &o);
		free(outcomes);
		free(d);
		queue_closed(out->queue, destination, outbound_now(out));
		return;
	}
	d->outbound = out;
	d->destination = destination;
	d->job = job;
	job->envelope = &d->reader.envelope;
	d->outcomes = outcomes;
	d->work.run = run;
	d->work.done = done;
	buf_init(&d->content, STEP_OCTETS * 2);
	list_push_back(&out->deliveries, &d->link);
	next_recipient(d);
}
