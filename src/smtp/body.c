#include "smtp/body.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Where the decoder stands.  What has come but may yet turn out to be the end is held, not passed
 * on; it never needs memory, because it is always one of a few known texts.  */
enum state {
	START,   /* of a line, behind CRLF or at the very beginning */
	SOFT,    /* of a line, behind a line end that was made right: no end can begin here */
	TEXT,    /* within a line */
	CR,      /* CR is held */
	DOT,     /* '.' at START is held */
	DOT_CR,  /* ".\r" is held */
	WORD,    /* the first end_len octets of end_word at START are held */
	WORD_CR, /* end_word and CR are held */
};

static const struct str crlf = STR("\r\n");

void body_decoder_init(struct body_decoder *d, bool normalize, struct str end_word)
{
	*d = (struct body_decoder){.state = START, .normalize = normalize};
	/* A dot at the start of a line has its own meaning; end_len counts to 255.  */
	if (end_word.len && end_word.ptr[0] != '.' && end_word.len <= UINT8_MAX)
		d->end_word = end_word;
}

static void set_fault(struct body_decoder *d, enum body_fault fault)
{
	if (d->fault == BODY_FINE) d->fault = fault;
}

/* Octets before the first CR, LF or NUL; *eight_bit is set when one of them is over 127.  */
static size_t plain(struct str s, bool *eight_bit)
{
	size_t i = 0;
#ifdef __SSE2__
	const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n'), nul = _mm_setzero_si128();
	for (; s.len - i >= 16; i += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)(s.ptr + i));
		__m128i hits =
			_mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, cr), _mm_cmpeq_epi8(x, lf)),
				_mm_cmpeq_epi8(x, nul));
		unsigned high = (unsigned)_mm_movemask_epi8(x);
		unsigned hit = (unsigned)_mm_movemask_epi8(hits);
		if (hit) {
			unsigned at = (unsigned)__builtin_ctz(hit);
			*eight_bit |= (high & ((1u << at) - 1)) != 0;
			return i + at;
		}
		*eight_bit |= high != 0;
	}
#endif
	for (; i < s.len; i++) {
		char c = s.ptr[i];
		if (c == '\r' || c == '\n' || c == 0) break;
		*eight_bit |= (c & 0x80) != 0;
	}
	return i;
}

/* A CR or LF alone: a line end that was made right, or a fault.  */
static void bare(struct body_decoder *d, enum body_fault fault, struct str *ret_run)
{
	d->state = d->normalize ? SOFT : TEXT;
	if (d->normalize)
		*ret_run = crlf;
	else
		set_fault(d, fault);
}

/* At the front of s is CR, LF or NUL, and not a whole CRLF.  Returns octets consumed.  */
static size_t special(struct body_decoder *d, struct str s, struct str *ret_run)
{
	if (s.ptr[0] == 0)
		set_fault(d, BODY_NUL);
	else if (s.ptr[0] == '\n')
		bare(d, BODY_BARE_LF, ret_run);
	else if (s.len == 1)
		d->state = CR;
	else
		bare(d, BODY_BARE_CR, ret_run);
	return 1;
}

static bool starts_end(const struct body_decoder *d, char c)
{
	if (d->raw) return false;
	return c == '.' || (d->state == START && d->end_word.len && c == d->end_word.ptr[0]);
}

/* From the front of s the longest run that needs no change; when there is none, the octet that
 * does.  Returns octets consumed.  */
static size_t run(struct body_decoder *d, struct str s, struct str *ret_run)
{
	size_t i = 0;
	while (i < s.len) {
		if (d->state != TEXT && starts_end(d, s.ptr[i])) {
			if (i > 0) break;
			d->end_len = 1;
			if (s.ptr[0] != '.')
				d->state = WORD;
			else
				d->state = d->state == START ? DOT : TEXT;
			return 1;
		}
		d->state = TEXT;
		i += plain(str_skip(s, i), &d->eight_bit);
		if (i == s.len) break;
		if (s.ptr[i] == '\r' && i + 1 < s.len && s.ptr[i + 1] == '\n') {
			d->state = START;
			i += 2;
			continue;
		}
		if (i > 0) break;
		return special(d, s, ret_run);
	}
	*ret_run = str_head(s, i);
	return i;
}

static size_t end_of_content(struct body_decoder *d)
{
	d->ended = true;
	return 1;
}

/* The next octet of end_word, or not: then what was held is content.  */
static size_t resolve_word(struct body_decoder *d, char c, struct str *ret_run)
{
	if (d->end_len < d->end_word.len && c == d->end_word.ptr[d->end_len]) {
		d->end_len++;
		return 1;
	}
	if (d->end_len == d->end_word.len && c == '\r') {
		d->state = WORD_CR;
		return 1;
	}
	*ret_run = str_head(d->end_word, d->end_len);
	d->state = TEXT;
	return 0;
}

/* Something is held and c comes.  Returns octets consumed: 1, or 0 when c is to be looked at
 * again.  */
static size_t resolve(struct body_decoder *d, char c, struct str *ret_run)
{
	switch ((enum state)d->state) {
	case CR:
		if (c == '\n') {
			*ret_run = crlf;
			d->state = START;
			return 1;
		}
		bare(d, BODY_BARE_CR, ret_run);
		return 0;
	case DOT:
		d->state = c == '\r' ? DOT_CR : TEXT; /* the dot was stuffing */
		return c == '\r';
	case DOT_CR:
		if (c == '\n') return end_of_content(d);
		bare(d, BODY_BARE_CR, ret_run);
		return 0;
	case WORD: return resolve_word(d, c, ret_run);
	case WORD_CR:
		if (c == '\n') return end_of_content(d);
		*ret_run = d->end_word;
		d->state = CR;
		return 0;
	case START:
	case SOFT:
	case TEXT: break;
	}
	UNREACHABLE();
}

size_t body_decode(struct body_decoder *d, struct str octets, struct str *ret_run)
{
	*ret_run = STR_NONE;
	size_t used = 0;
	while (used < octets.len && !d->ended && (ret_run->len == 0 || d->fault != BODY_FINE)) {
		struct str rest = str_skip(octets, used);
		used += d->state >= CR ? resolve(d, rest.ptr[0], ret_run) : run(d, rest, ret_run);
	}
	if (d->fault != BODY_FINE) *ret_run = STR_NONE;
	d->size += ret_run->len;
	return used;
}

void body_finish(struct body_decoder *d, struct str *ret_run)
{
	*ret_run = STR_NONE;
	if (d->state != CR) return;
	bare(d, BODY_BARE_CR, ret_run);
	if (d->fault != BODY_FINE) *ret_run = STR_NONE;
	d->size += ret_run->len;
}

bool body_stuff(struct buf *out, struct str octets, bool *at_line_start)
{
	size_t len = out->len, done = 0, i = 0;
	bool start = *at_line_start;
	while (i < octets.len) {
		if (start && octets.ptr[i] == '.') {
			/* What is behind `done` begins with this dot: so it is sent twice.  */
			buf_add(out, str_of(octets.ptr + done, i + 1 - done));
			done = i;
		}
		size_t line = str_find(str_skip(octets, i), '\n');
		start = i + line < octets.len;
		i += start ? line + 1 : line;
	}
	if (!buf_add(out, str_skip(octets, done))) {
		out->len = len;
		return false;
	}
	*at_line_start = start;
	return true;
}
