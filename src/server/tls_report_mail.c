#include "base/code.h"
#include "mail/encode.h"
#include "server/tls_report.h"

#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16 }; /* largest, and with the header of gzip */

bool tls_report_gzip(struct buf *out, struct str octets)
{
	z_stream z = {.next_in = (Bytef *)octets.ptr, .avail_in = (uInt)octets.len};
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8,
		    Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	size_t room = deflateBound(&z, (uLong)octets.len);
	char *to = buf_reserve(out, room);
	z.next_out = (Bytef *)to;
	z.avail_out = (uInt)room;
	bool fine = to && deflate(&z, Z_FINISH) == Z_STREAM_END;
	if (fine) out->len += z.total_out;
	deflateEnd(&z);
	return fine;
}

static void add(struct buf *out, const char *text) { buf_add(out, str_from_c(text)); }

static void add_header(struct buf *out, const struct tls_report_letter *l)
{
	buf_printf(out, "From: <" STR_FMT ">\r\nTo: <" STR_FMT ">\r\nDate: ", STR_ARG(l->from),
		STR_ARG(l->to));
	clock_add_rfc5322(out, l->now);
	buf_printf(out,
		"\r\nSubject: Report Domain: " STR_FMT "\r\n Submitter: " STR_FMT
		"\r\n Report-ID: <" STR_FMT ">\r\n",
		STR_ARG(l->domain), STR_ARG(l->submitter), STR_ARG(l->id));
	buf_printf(out, "Message-ID: <" STR_FMT ">\r\n", STR_ARG(l->id));
	buf_printf(out, "TLS-Report-Domain: " STR_FMT "\r\nTLS-Report-Submitter: " STR_FMT "\r\n",
		STR_ARG(l->domain), STR_ARG(l->submitter));
	/* Where TLS is broken the report of it should arrive all the same (RFC 8460 3, RFC 8689 5).  */
	add(out,
		"TLS-Required: No\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n\tboundary=\"=_tlsrpt\"\r\n\r\n");
}

void tls_report_compose(struct buf *out, const struct tls_report_letter *l)
{
	add_header(out, l);
	add(out, "--=_tlsrpt\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n");
	buf_printf(out,
		"This is a report about TLS (RFC 8460): how the connections of\r\n" STR_FMT
		"\r\nto the mail servers of\r\n" STR_FMT
		"\r\nwere secured. It is for programs.\r\n",
		STR_ARG(l->submitter), STR_ARG(l->domain));
	buf_printf(out,
		"\r\n--=_tlsrpt\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n"
		"Content-Disposition: attachment;\r\n\tfilename=\"" STR_FMT "!" STR_FMT
		"!%lld!%lld.json.gz\"\r\n\r\n",
		STR_ARG(l->submitter), STR_ARG(l->domain), (long long)(l->begin / 1000),
		(long long)((l->end - 1) / 1000));
	struct encoder encoder;
	encoder_init(&encoder, ENCODING_BASE64);
	encoder_add(&encoder, l->gzip, out);
	encoder_end(&encoder, out);
	add(out, "\r\n--=_tlsrpt--\r\n");
}
