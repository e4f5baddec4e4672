/* Contents of files: pages, of which those full of zeros take no memory.  */
#include "sim/sim_disk.h"

bool is_zeros(const char *data, uint64_t len)
{
	return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

static void need_pages(struct image *m, uint64_t count)
{
	if (count <= m->page_count) return;
	uint64_t room = m->page_count;
	while (room < count) room = room ? room * 2 : 16;
	m->pages = reallocarray(m->pages, room, sizeof *m->pages);
	ASSERT(m->pages);
	memset(m->pages + m->page_count, 0, (room - m->page_count) * sizeof *m->pages);
	m->page_count = room;
}

static void write_in_page(
	struct image *m, uint64_t page, uint64_t at, const char *data, uint64_t len)
{
	char **place = &m->pages[page];
	if (!data && len == PAGE) {
		free(*place);
		*place = NULL;
	}
	if (!*place && (!data || is_zeros(data, len))) return;
	if (!*place) *place = calloc(1, PAGE);
	ASSERT(*place);
	if (data)
		memcpy(*place + at, data, len);
	else
		memset(*place + at, 0, len);
}

void image_write(struct image *m, uint64_t offset, const char *data, uint64_t len)
{
	if (len == 0) return;
	need_pages(m, (offset + len + PAGE - 1) / PAGE);
	if (offset + len > m->size) m->size = offset + len;
	while (len > 0) {
		uint64_t at = offset % PAGE;
		uint64_t n = len < PAGE - at ? len : PAGE - at;
		write_in_page(m, offset / PAGE, at, data, n);
		if (data) data += n;
		offset += n;
		len -= n;
	}
}

void image_read(const struct image *m, uint64_t offset, char *to, uint64_t len)
{
	while (len > 0) {
		uint64_t at = offset % PAGE;
		uint64_t n = len < PAGE - at ? len : PAGE - at;
		const char *page = offset / PAGE < m->page_count ? m->pages[offset / PAGE] : NULL;
		if (page)
			memcpy(to, page + at, n);
		else
			memset(to, 0, n);
		to += n;
		offset += n;
		len -= n;
	}
}

void image_resize(struct image *m, uint64_t size)
{
	uint64_t before = m->size;
	if (size < before) {
		uint64_t first = size / PAGE;
		if (size % PAGE && first < m->page_count)
			write_in_page(m, first++, size % PAGE, NULL, PAGE - size % PAGE);
		for (uint64_t i = first; i < m->page_count; i++) {
			free(m->pages[i]);
			m->pages[i] = NULL;
		}
	}
	m->size = size;
}

void image_copy(struct image *to, const struct image *from)
{
	image_resize(to, 0);
	need_pages(to, from->page_count);
	for (uint64_t i = 0; i < from->page_count; i++)
		if (from->pages[i]) image_write(to, i * PAGE, from->pages[i], PAGE);
	to->size = from->size;
}

void image_release(struct image *m)
{
	image_resize(m, 0);
	free(m->pages);
	*m = (struct image){0};
}
