#include "mail/encode.h"

#include "base/code.h"

enum { QP_LINE = 75 }; /* and the '=' of a soft line break makes 76 */

void encoder_init(struct encoder *e, enum encoding encoding)
{
	*e = (struct encoder){.encoding = encoding};
}

static void put(struct encoder *e, struct str s, struct buf *out)
{
	e->size += s.len;
	if (out) buf_add(out, s);
}

/* ---- quoted-printable ---- */

static void qp_unit(struct encoder *e, const char *unit, uint8_t len, struct buf *out)
{
	if (e->column + len > QP_LINE) {
		put(e, STR("=\r\n"), out);
		e->column = 0;
	}
	put(e, str_of(unit, len), out);
	e->column = (uint8_t)(e->column + len);
}

static void qp_escaped(struct encoder *e, char octet, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";
	uint8_t v = (uint8_t)octet;
	const char unit[3] = {'=', digits[v >> 4], digits[v & 15]};
	qp_unit(e, unit, 3, out);
}

/* A space or tab stands for itself unless it ends a line.  */
static void qp_release_held(struct encoder *e, bool at_end, struct buf *out)
{
	if (!e->held) return;
	if (at_end)
		qp_escaped(e, e->held, out);
	else
		qp_unit(e, &e->held, 1, out);
	e->held = '\0';
}

static void qp_add(struct encoder *e, struct str octets, struct buf *out)
{
	for (size_t i = 0; i < octets.len; i++) {
		char octet = octets.ptr[i];
		qp_release_held(e, false, out);
		if (octet == ' ' || octet == '\t')
			e->held = octet;
		else if (octet > ' ' && octet < 0x7f && octet != '=')
			qp_unit(e, &octet, 1, out);
		else
			qp_escaped(e, octet, out);
	}
}

/* ---- base64 ---- */

static void base64_line(struct encoder *e, struct buf *out)
{
	if (e->started) put(e, STR("\r\n"), out);
	e->started = true;
	e->size += (e->column + 2u) / 3 * 4;
	if (out) base64_add(out, str_of(e->group, e->column));
	e->column = 0;
}

static void base64_more(struct encoder *e, struct str octets, struct buf *out)
{
	while (octets.len) {
		if (e->column == ENCODER_GROUP) base64_line(e, out);
		struct str part = str_head(octets, ENCODER_GROUP - e->column);
		memcpy(e->group + e->column, part.ptr, part.len);
		e->column = (uint8_t)(e->column + part.len);
		octets = str_skip(octets, part.len);
	}
}

/* ---- both ---- */

void encoder_add(struct encoder *e, struct str octets, struct buf *out)
{
	if (e->encoding == ENCODING_QP)
		qp_add(e, octets, out);
	else
		base64_more(e, octets, out);
}

void encoder_line_end(struct encoder *e, struct buf *out)
{
	if (e->encoding == ENCODING_BASE64) {
		base64_more(e, STR("\r\n"), out);
		return;
	}
	qp_release_held(e, true, out);
	put(e, STR("\r\n"), out);
	e->column = 0;
}

void encoder_end(struct encoder *e, struct buf *out)
{
	if (e->encoding == ENCODING_QP)
		qp_release_held(e, true, out);
	else if (e->column)
		base64_line(e, out);
}
