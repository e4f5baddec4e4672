#include "sim/sim_disk.h"

#define WELL_CAPACITY (4ull << 30)

/* ---- life ---- */

void disk_init(struct disk *d, struct world *world, uint64_t seed)
{
	*d = (struct disk){.world = world, .next_number = 1};
	d->traits = (struct disk_traits){
		.applied = 1, .call_us = 20, .sync_us = 200, .capacity = WELL_CAPACITY};
	rng_init(&d->rng, seed);
	list_init(&d->inodes);
	list_init(&d->names);
	list_init(&d->changes);
	struct inode *root = disk_inode(d, true);
	struct disk_name *name = disk_name(d, "/");
	name->now = name->durable = root;
	root->links = 1;
}

void disk_drop_write(struct disk_write *w)
{
	list_remove(&w->link);
	free(w->data);
	free(w);
}

static void free_inode(struct inode *inode)
{
	while (!list_empty(&inode->writes))
		disk_drop_write(CONTAINER_OF(inode->writes.next, struct disk_write, link));
	image_release(&inode->now);
	image_release(&inode->durable);
	list_remove(&inode->link);
	free(inode);
}

void disk_release(struct disk *d)
{
	for (struct list *node; (node = list_pop(&d->changes));)
		free(CONTAINER_OF(node, struct disk_change, link));
	for (struct list *node; (node = list_pop(&d->names));)
		free(CONTAINER_OF(node, struct disk_name, link));
	while (!list_empty(&d->inodes))
		free_inode(CONTAINER_OF(d->inodes.next, struct inode, link));
	free(d->handles);
}

bool disk_is_well(const struct disk *d)
{
	const struct disk_traits *t = &d->traits;
	bool fails = t->read_error + t->write_error + t->sync_error + t->name_error > 0;
	return !fails && t->capacity >= WELL_CAPACITY;
}

void disk_heal(struct disk *d)
{
	struct disk_traits *t = &d->traits;
	t->read_error = t->write_error = t->sync_error = t->name_error = t->slow = 0;
	t->forgets = t->evicts = false;
	t->capacity = WELL_CAPACITY;
}

/* ---- names ---- */

struct disk_name *disk_find(const struct disk *d, const char *path)
{
	uint64_t hash = str_hash(str_from_c(path), 0);
	LIST_EACH (&d->names, node) {
		struct disk_name *name = CONTAINER_OF(node, struct disk_name, link);
		if (name->hash == hash && !strcmp(name->path, path)) return name;
	}
	return NULL;
}

struct disk_name *disk_name(struct disk *d, const char *path)
{
	struct disk_name *name = disk_find(d, path);
	if (name) return name;
	size_t len = strlen(path);
	name = calloc(1, sizeof *name + len + 1);
	ASSERT(name);
	memcpy(name->path, path, len + 1);
	name->hash = str_hash(str_of(path, len), 0);
	list_push_back(&d->names, &name->link);
	return name;
}

struct inode *disk_inode(struct disk *d, bool directory)
{
	struct inode *inode = calloc(1, sizeof *inode);
	ASSERT(inode);
	inode->number = d->next_number++;
	inode->directory = directory;
	list_init(&inode->writes);
	list_push_back(&d->inodes, &inode->link);
	return inode;
}

bool disk_is_in(const char *path, const char *directory)
{
	size_t len = strlen(directory);
	while (len > 0 && directory[len - 1] == '/') len--;
	if (strncmp(path, directory, len) != 0 || path[len] != '/' || path[len + 1] == 0)
		return false;
	return !strchr(path + len + 1, '/');
}

static void point(struct inode **place, struct inode *inode, bool counts)
{
	if (counts && *place) (*place)->links--;
	if (counts && inode) inode->links++;
	*place = inode;
}

void disk_change(struct disk *d, struct disk_name *from, struct disk_name *to, struct inode *inode)
{
	point(&to->now, inode, true);
	if (from) point(&from->now, NULL, true);
	struct disk_change *change = calloc(1, sizeof *change);
	ASSERT(change);
	*change = (struct disk_change){.from = from, .to = to, .inode = inode};
	list_push_back(&d->changes, &change->link);
}

void disk_apply_change(struct disk_change *change)
{
	point(&change->to->durable, change->inode, false);
	if (change->from && change->from->durable == change->inode)
		point(&change->from->durable, NULL, false);
}

/* ---- the medium ---- */

static void put_sectors(struct inode *inode, const struct disk_write *w, uint64_t at, uint64_t len)
{
	image_write(&inode->durable, w->offset + at, w->data ? w->data + at : NULL, len);
}

void disk_apply_write(struct inode *inode, const struct disk_write *w)
{
	if (w->cuts)
		image_resize(&inode->durable, w->size);
	else
		put_sectors(inode, w, 0, w->len);
}

static void garble(struct disk *d, struct inode *inode, uint64_t offset, uint64_t len)
{
	char noise[SECTOR];
	for (size_t i = 0; i < sizeof noise; i++) noise[i] = (char)rng_next(&d->rng);
	image_write(&inode->durable, offset, noise, len);
}

static void decide_part(
	struct disk *d, struct inode *inode, const struct disk_write *w, uint64_t at, uint64_t len)
{
	double dice = rng_unit(&d->rng);
	if (dice < d->traits.garbled)
		garble(d, inode, w->offset + at, len < SECTOR ? len : SECTOR);
	else if (dice < d->traits.garbled + d->traits.applied)
		put_sectors(inode, w, at, len);
}

/* Sector by sector where it is torn; of a long run of zeros in larger parts.  */
static void decide_write(struct disk *d, struct inode *inode, const struct disk_write *w)
{
	if (!sim_chance(&d->rng, d->traits.torn)) {
		if (sim_chance(&d->rng, d->traits.applied)) put_sectors(inode, w, 0, w->len);
		return;
	}
	uint64_t step = w->len > 1 << 20 ? (uint64_t)256 << 10 : SECTOR;
	for (uint64_t at = 0; at < w->len;) {
		uint64_t end = (w->offset + at) / step * step + step - w->offset;
		if (end > w->len) end = w->len;
		decide_part(d, inode, w, at, end - at);
		at = end;
	}
}

/* What becomes of the writes that no sync has covered.  The size changes in order, up to some point.  */
static void decide_inode(struct disk *d, struct inode *inode)
{
	uint64_t count = 0;
	LIST_EACH (&inode->writes, node) count++;
	if (count == 0) return;
	uint64_t changes = rng_below(&d->rng, count + 1);
	uint64_t size = inode->durable.size;
	while (!list_empty(&inode->writes)) {
		struct disk_write *w = CONTAINER_OF(inode->writes.next, struct disk_write, link);
		bool resized = changes > 0;
		if (resized) changes--, size = w->size;
		if (!w->cuts)
			decide_write(d, inode, w);
		else if (resized)
			image_resize(&inode->durable, size);
		disk_drop_write(w);
	}
	image_resize(&inode->durable, size);
	world_note(d->world, "disk-decided", inode->number, size);
}

static void decide_names(struct disk *d)
{
	bool applied = sim_chance(&d->rng, 0.5);
	for (struct list *node; (node = list_pop(&d->changes));) {
		struct disk_change *change = CONTAINER_OF(node, struct disk_change, link);
		if (d->traits.names_in_order)
			applied = applied && !sim_chance(&d->rng, 0.2);
		else
			applied = sim_chance(&d->rng, 0.5);
		if (applied) disk_apply_change(change);
		free(change);
	}
}

static void see_medium(struct disk *d)
{
	LIST_EACH_SAFE (&d->names, node) {
		struct disk_name *name = CONTAINER_OF(node, struct disk_name, link);
		point(&name->now, name->durable, true);
		if (name->now) continue;
		list_remove(node);
		free(name);
	}
	LIST_EACH_SAFE (&d->inodes, node) {
		struct inode *inode = CONTAINER_OF(node, struct inode, link);
		inode->locked = false;
		if (inode->links == 0)
			free_inode(inode);
		else
			image_copy(&inode->now, &inode->durable);
	}
}

void disk_close_all(struct disk *d)
{
	for (int i = 0; i < d->handle_count; i++) {
		struct disk_handle *h = &d->handles[i];
		if (!h->inode) continue;
		h->inode->open--;
		if (h->locks) h->inode->locked = false;
		*h = (struct disk_handle){0};
	}
}

void disk_power_cut(struct disk *d)
{
	for (int i = 0; i < d->handle_count; i++) ASSERT(!d->handles[i].inode);
	LIST_EACH (&d->inodes, node) decide_inode(d, CONTAINER_OF(node, struct inode, link));
	decide_names(d);
	see_medium(d);
	world_note(d->world, "disk-on", disk_used(d), 0);
}

static void rot_sector(struct disk *d, struct inode *inode, uint64_t offset)
{
	char sector[SECTOR];
	image_read(&inode->durable, offset, sector, SECTOR);
	for (int i = (int)sim_between(&d->rng, 1, 8); i > 0; i--)
		sector[rng_below(&d->rng, SECTOR)] ^= (char)(1 << rng_below(&d->rng, 8));
	image_write(&inode->durable, offset, sector, SECTOR);
	image_write(&inode->now, offset, sector, SECTOR);
	d->rotten++;
	world_note(d->world, "disk-rot", inode->number, offset);
}

static uint64_t sectors_of(const struct disk_name *name, const char *prefix)
{
	bool is_file =
		name->now && !name->now->directory && !strncmp(name->path, prefix, strlen(prefix));
	return is_file ? name->now->durable.size / SECTOR : 0;
}

bool disk_rot(struct disk *d, const char *prefix,
	void (*rots)(void *context, const char *path, uint64_t offset), void *context)
{
	uint64_t sectors = 0;
	LIST_EACH (&d->names, node)
		sectors += sectors_of(CONTAINER_OF(node, struct disk_name, link), prefix);
	if (sectors == 0) return false;
	uint64_t victim = rng_below(&d->rng, sectors);
	LIST_EACH (&d->names, node) {
		struct disk_name *name = CONTAINER_OF(node, struct disk_name, link);
		uint64_t here = sectors_of(name, prefix);
		if (victim < here) {
			rots(context, name->path, victim * SECTOR);
			rot_sector(d, name->now, victim * SECTOR);
			return true;
		}
		victim -= here;
	}
	UNREACHABLE();
}

uint64_t disk_used(const struct disk *d)
{
	uint64_t used = 0;
	LIST_EACH (&d->inodes, node) {
		const struct inode *inode = CONTAINER_OF(node, struct inode, link);
		if (inode->links > 0 || inode->open > 0)
			used += (inode->now.size + PAGE - 1) / PAGE * PAGE;
	}
	return used;
}

char *disk_content(const struct disk *d, const char *path, uint64_t *ret_len)
{
	const struct disk_name *name = disk_find(d, path);
	if (!name || !name->now) return NULL;
	char *content = malloc(name->now->now.size + 1);
	ASSERT(content);
	image_read(&name->now->now, 0, content, name->now->now.size);
	*ret_len = name->now->now.size;
	return content;
}
