#include "tests/powercut/disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static void *need(void *memory)
{
	assert(memory);
	return memory;
}

/* SplitMix64.  */
static uint64_t dice(struct disk *d)
{
	uint64_t z = d->random += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static bool one_in(struct disk *d, uint64_t n) { return dice(d) % n == 0; }

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- octets ---- */

static bool is_zero(const char *octets, size_t len)
{
	return len == 0 || (octets[0] == 0 && memcmp(octets, octets + 1, len - 1) == 0);
}

static char **page_of(struct image *i, uint64_t number)
{
	if (number >= i->count) {
		size_t count = number < 64 ? 64 : (size_t)number * 2;
		i->pages = need(realloc(i->pages, count * sizeof *i->pages));
		memset(i->pages + i->count, 0, (count - i->count) * sizeof *i->pages);
		i->count = count;
	}
	return &i->pages[number];
}

/* data NULL: zeros.  */
static void image_write(struct image *i, uint64_t offset, const char *data, size_t len)
{
	if (offset + len > i->size) i->size = offset + len;
	while (len > 0) {
		size_t at = (size_t)(offset % PAGE), n = PAGE - at < len ? PAGE - at : len;
		char **page = page_of(i, offset / PAGE);
		if (!*page && data && !is_zero(data, n)) *page = need(calloc(1, PAGE));
		if (*page && data) memcpy(*page + at, data, n);
		if (*page && !data) memset(*page + at, 0, n);
		if (data) data += n;
		offset += n, len -= n;
	}
}

static void image_resize(struct image *i, uint64_t size)
{
	if (size < i->size) {
		uint64_t was = i->size;
		image_write(i, size, NULL, (size_t)(was - size));
	}
	i->size = size;
}

static size_t image_read(const struct image *i, uint64_t offset, char *to, size_t len)
{
	if (offset >= i->size) return 0;
	if (len > i->size - offset) len = (size_t)(i->size - offset);
	for (size_t done = 0; done < len;) {
		uint64_t number = (offset + done) / PAGE;
		size_t at = (size_t)((offset + done) % PAGE);
		size_t n = PAGE - at < len - done ? PAGE - at : len - done;
		const char *page = number < i->count ? i->pages[number] : NULL;
		if (page)
			memcpy(to + done, page + at, n);
		else
			memset(to + done, 0, n);
		done += n;
	}
	return len;
}

static void image_release(struct image *i)
{
	for (size_t p = 0; p < i->count; p++) free(i->pages[p]);
	free(i->pages);
	*i = (struct image){0};
}

static void image_copy(struct image *to, const struct image *from)
{
	image_release(to);
	for (size_t p = 0; p < from->count; p++)
		if (from->pages[p]) image_write(to, p * PAGE, from->pages[p], PAGE);
	to->size = from->size;
}

/* ---- nodes ---- */

static void number_node(struct disk *d, struct node *n)
{
	if (d->count == d->room) {
		d->room = d->room ? d->room * 2 : 64;
		d->nodes = need(realloc(d->nodes, d->room * sizeof *d->nodes));
	}
	n->number = d->count;
	d->nodes[d->count++] = n;
}

static struct node *new_node(struct disk *d, mode_t mode)
{
	struct node *n = need(calloc(1, sizeof *n));
	n->mode = mode;
	n->last_write = &n->writes;
	n->last_change = &n->changes;
	n->changed_ms = now_ms();
	number_node(d, n);
	return n;
}

void disk_init(struct disk *d, uint64_t capacity)
{
	*d = (struct disk){.capacity = capacity, .count = 1, .room = 64};
	d->nodes = need(calloc(d->room, sizeof *d->nodes));
	d->root = new_node(d, S_IFDIR | 0755);
}

struct node *disk_node(struct disk *d, uint64_t number)
{
	struct node *n = number < d->count ? d->nodes[number] : NULL;
	return n && n->number == number ? n : NULL;
}

/* ---- names ---- */

static struct entry **find(struct entry **names, const char *name)
{
	while (*names && strcmp((*names)->name, name) != 0) names = &(*names)->next;
	return names;
}

struct entry *disk_find(struct node *directory, const char *name)
{
	return *find(&directory->names, name);
}

static void set_name(struct entry **names, const char *name, struct node *node)
{
	struct entry **at = find(names, name), *e = *at;
	if (!e && node) {
		e = *at = need(calloc(1, sizeof *e));
		memcpy(e->name, name, strlen(name) + 1);
	}
	if (e && node) e->node = node;
	if (e && !node) {
		*at = e->next;
		free(e);
	}
}

void disk_name(struct node *directory, const char *name, struct node *node)
{
	struct change *c = need(calloc(1, sizeof *c));
	memcpy(c->name, name, strlen(name) + 1);
	c->node = node;
	*directory->last_change = c;
	directory->last_change = &c->next;
	set_name(&directory->names, name, node);
	directory->changed_ms = now_ms();
}

struct node *disk_make(struct disk *d, struct node *directory, const char *name, mode_t mode)
{
	struct node *n = new_node(d, mode);
	disk_name(directory, name, n);
	return n;
}

/* ---- reading and writing ---- */

size_t disk_read(const struct node *n, uint64_t offset, char *to, size_t len)
{
	return image_read(&n->seen, offset, to, len);
}

static bool take_room(struct disk *d, struct node *n, uint64_t size)
{
	if (size > n->seen.size && d->used + (size - n->seen.size) > d->capacity) return false;
	d->used += size - n->seen.size; /* may be less than nothing */
	return true;
}

static struct write *add_write(struct node *n, uint64_t offset, size_t len)
{
	struct write *w = need(calloc(1, sizeof *w));
	w->offset = offset;
	w->len = len;
	*n->last_write = w;
	n->last_write = &w->next;
	n->changed_ms = now_ms();
	return w;
}

int disk_write(struct disk *d, struct node *n, uint64_t offset, const char *data, size_t len)
{
	uint64_t end = offset + len > n->seen.size ? offset + len : n->seen.size;
	if (!take_room(d, n, end)) return -ENOSPC;
	struct write *w = add_write(n, offset, len);
	if (!is_zero(data, len)) {
		w->data = need(malloc(len));
		memcpy(w->data, data, len);
	}
	image_write(&n->seen, offset, w->data, len);
	d->written += len;
	return 0;
}

int disk_resize(struct disk *d, struct node *n, uint64_t size)
{
	if (!take_room(d, n, size)) return -ENOSPC;
	add_write(n, size, 0)->cut = true;
	image_resize(&n->seen, size);
	return 0;
}

/* ---- what reaches the medium ---- */

static void keep_write(struct node *n, const struct write *w)
{
	if (w->cut)
		image_resize(&n->kept, w->offset);
	else
		image_write(&n->kept, w->offset, w->data, w->len);
}

/* Each sector arrives or does not.  */
static void keep_torn(struct disk *d, struct node *n, const struct write *w)
{
	if (w->cut) return;
	for (size_t at = 0, step; at < w->len; at += step) {
		step = SECTOR - (size_t)((w->offset + at) % SECTOR);
		if (step > w->len - at) step = w->len - at;
		if (one_in(d, 2))
			image_write(&n->kept, w->offset + at, w->data ? w->data + at : NULL, step);
	}
}

static void clear_writes(struct node *n)
{
	for (struct write *w = n->writes, *next; w; w = next) {
		next = w->next;
		free(w->data);
		free(w);
	}
	n->writes = NULL;
	n->last_write = &n->writes;
}

static void clear_changes(struct node *n)
{
	for (struct change *c = n->changes, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	n->changes = NULL;
	n->last_change = &n->changes;
}

void disk_sync(struct disk *d, struct node *n)
{
	for (struct write *w = n->writes; w; w = w->next) keep_write(n, w);
	for (struct change *c = n->changes; c; c = c->next)
		set_name(&n->kept_names, c->name, c->node);
	clear_writes(n);
	clear_changes(n);
	d->synced++;
}

void disk_forget(struct disk *d, struct node *n)
{
	for (struct write *w = n->writes; w; w = w->next) d->lost_writes++;
	clear_writes(n);
}

/* ---- the cut ---- */

static size_t count_writes(const struct node *n)
{
	size_t count = 0;
	for (const struct write *w = n->writes; w; w = w->next) count++;
	return count;
}

/* In another order, some of them, some in pieces.  */
static void lose_any_write(struct disk *d, struct node *n)
{
	size_t count = count_writes(n), at = 0;
	struct write **all = need(malloc((count + 1) * sizeof(struct write *)));
	for (struct write *w = n->writes; w; w = w->next) all[at++] = w;
	for (size_t i = count; i > 1; i--) {
		size_t j = (size_t)(dice(d) % i);
		struct write *swap = all[i - 1];
		all[i - 1] = all[j];
		all[j] = swap;
	}
	for (size_t i = 0; i < count; i++) {
		bool kept = one_in(d, 2), torn = one_in(d, 4);
		if (kept && torn) keep_torn(d, n, all[i]);
		if (kept && !torn) keep_write(n, all[i]);
		*(kept && !torn ? &d->kept_writes : &d->lost_writes) += 1;
	}
	free(all);
}

static void lose_last_writes(struct disk *d, struct node *n)
{
	size_t count = count_writes(n), whole = count ? (size_t)(dice(d) % (count + 1)) : 0;
	for (struct write *w = n->writes; w; w = w->next) {
		if (whole == 0) {
			keep_torn(d, n, w);
			d->lost_writes += count;
			return;
		}
		keep_write(n, w);
		d->kept_writes++;
		whole--, count--;
	}
}

static void lose_names(struct disk *d, struct node *n, enum loss loss)
{
	bool stopped = false;
	for (struct change *c = n->changes; c; c = c->next) {
		bool kept = one_in(d, 2);
		if (loss == LOSS_TEAR && !kept)
			stopped = true; /* what comes later is lost as well */
		if (loss == LOSS_NONE || (loss != LOSS_DROP && kept && !stopped))
			set_name(&n->kept_names, c->name, c->node);
		else
			d->lost_names++;
	}
}

static void lose(struct disk *d, struct node *n, enum loss loss)
{
	switch (loss) {
	case LOSS_NONE:
		for (struct write *w = n->writes; w; w = w->next) keep_write(n, w);
		break;
	case LOSS_DROP: d->lost_writes += count_writes(n); break;
	case LOSS_TEAR: lose_last_writes(d, n); break;
	case LOSS_REORDER: lose_any_write(d, n); break;
	}
	lose_names(d, n, loss);
	clear_writes(n);
	clear_changes(n);
}

/* What the medium has of n and all that is named in it becomes what is seen.  */
static void show_kept(struct disk *d, struct node *n)
{
	number_node(d, n);
	image_copy(&n->seen, &n->kept);
	d->used += n->seen.size;
	while (n->names) set_name(&n->names, n->names->name, NULL);
	for (struct entry *e = n->kept_names; e; e = e->next) {
		set_name(&n->names, e->name, e->node);
		if (!e->node->number) show_kept(d, e->node); /* it may have two names */
	}
}

void disk_cut(struct disk *d, enum loss loss, uint64_t seed)
{
	struct node **before = d->nodes;
	size_t count = d->count, first = d->count;
	d->random = seed;
	for (size_t i = 0; i < count; i++)
		if (before[i]) lose(d, before[i], loss);
	for (size_t i = 0; i < count; i++) {
		if (!before[i]) continue;
		before[i]->number = 0;
		before[i] = NULL;
	}
	d->used = 0;
	d->count = 1; /* the root keeps its number, others get new ones */
	struct node *root = d->root;
	number_node(d, root);
	d->count = first > 2 ? first : 2;
	struct entry *kept = root->kept_names;
	while (root->names) set_name(&root->names, root->names->name, NULL);
	for (struct entry *e = kept; e; e = e->next) {
		set_name(&root->names, e->name, e->node);
		if (!e->node->number) show_kept(d, e->node);
	}
}
