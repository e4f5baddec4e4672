#include "mail/mailboxes.h"

enum { ADDRESS_ROOM = 1024 };

struct walk {
	struct str rest;
	struct buf text; /* of the mailbox so far, without blanks and comments */
	bool at;         /* with an '@' that is not quoted */
	bool angle;      /* inside of brackets */
	bool had;        /* behind them */
	bool group;
	bool (*visit)(void *context, struct str address);
	void *context;
};

size_t mailboxes_enclosed(struct str s, char close)
{
	char open = s.ptr[0];
	unsigned depth = 1;
	for (size_t i = 1; i < s.len; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == close && --depth == 0)
			return i + 1;
		else if (s.ptr[i] == open && open == '(')
			depth++;
	}
	return 0;
}

static bool give(struct walk *w, struct str address)
{
	bool fine = buf_ok(&w->text) && w->visit(w->context, address);
	buf_clear(&w->text);
	w->at = false;
	return fine;
}

static bool end_of_mailbox(struct walk *w)
{
	bool fine = !w->angle && !(w->had && w->text.len);
	if (fine && w->text.len) fine = give(w, buf_str(&w->text));
	w->had = false;
	return fine;
}

static bool open_angle(struct walk *w)
{
	if (w->angle || w->had) return false;
	if (w->at && !give(w, buf_str(&w->text))) return false;
	buf_clear(&w->text);
	w->angle = true;
	return true;
}

/* A route in front of the address (obsolete) leads nowhere any more.  */
static bool close_angle(struct walk *w)
{
	struct str address = buf_str(&w->text);
	if (!w->angle) return false;
	if (address.len && address.ptr[0] == '@') {
		size_t colon = str_find(address, ':');
		address = str_skip(address, colon < address.len ? colon + 1 : colon);
	}
	w->angle = false;
	w->had = true;
	return give(w, address);
}

static bool special(struct walk *w, char c)
{
	switch (c) {
	case '<': return open_angle(w);
	case '>': return close_angle(w);
	case ',': return w->angle ? buf_add_c(&w->text, c) : end_of_mailbox(w);
	case ';':
		if (!w->group) return false;
		w->group = false;
		return end_of_mailbox(w);
	default: /* ':' */
		if (w->angle) return buf_add_c(&w->text, c);
		if (w->group || w->at || w->had) return false;
		buf_clear(&w->text);
		return w->group = true;
	}
}

/* Take what stands at the front.  */
static bool step(struct walk *w)
{
	char c = w->rest.ptr[0];
	size_t n = 1;
	bool fine = true;
	if (c == '(') {
		n = mailboxes_enclosed(w->rest, ')');
	} else if (c == '"' || c == '[') {
		n = mailboxes_enclosed(w->rest, c == '"' ? '"' : ']');
		for (size_t i = 0; i < n; i++)
			if (w->rest.ptr[i] != '\r' && w->rest.ptr[i] != '\n')
				buf_add_c(&w->text, w->rest.ptr[i]);
	} else if (strchr("<>,;:", c) && c) {
		fine = special(w, c);
	} else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
		fine = true;
	} else {
		w->at |= c == '@';
		fine = (unsigned char)c > ' ' && c != 127 && c != ')' && c != '\\' &&
			buf_add_c(&w->text, c);
	}
	w->rest = str_skip(w->rest, n);
	return fine && n > 0;
}

bool mailboxes_each(
	struct str value, bool (*visit)(void *context, struct str address), void *context)
{
	struct walk w = {.rest = value, .visit = visit, .context = context};
	buf_init(&w.text, ADDRESS_ROOM);
	bool fine = true;
	while (fine && w.rest.len) fine = step(&w);
	fine = fine && !w.group && end_of_mailbox(&w);
	buf_release(&w.text);
	return fine;
}
