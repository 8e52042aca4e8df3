// Package zohofile reads the token files of Zoho's CRM SDKs, so that their
// tokens can be moved into a [token.Store].
//
// [Read] takes a sdk_tokens.txt, which is CSV despite its name, as the SDKs for
// Python, Java, Node, TypeScript, PHP, C#, Ruby and Scala write it: the ten
// columns of 5.0 to 8.0, the nine of 2.x, and the six of 1.x, which have no id.
// It need not be told which SDK the file is of. Columns are found by the header;
// user_mail is user_name, and redirect_uri is redirect_url. A file whose header
// was lost, as Python's SDK can lose it, is read if its rows have ten cells. Lines
// end with LF, CRLF, or CR CR LF, which 2.x writes on Windows; a byte order mark,
// blank lines, and the rows "" and , that the SDKs make of blank lines when they
// widen an older file, mean nothing.
//
// # Nothing is guessed
//
// A migration that gets one row wrong gives one user another user's tokens. So a
// file is read as a whole or refused as a whole, and a row that does not fit is
// refused by its line; the remedy is to look at that line. Refused are:
//
//   - A row with more or fewer cells than the header. Node, TypeScript, PHP, C#
//     and Scala write no quotes, and a comma in a value then shifts all cells
//     behind it. Fewer cells are a row that was cut off: no SDK writes a short
//     row, not even Scala's, which drops empty cells at the end only when it reads.
//   - A quotation mark that can mean two things. Python, Java and Ruby quote a
//     value that needs it, the others never quote; the files look alike. A quoted
//     value is taken where the row fits in no other way, say because of a comma in
//     it, or where the header shows that quotes quote: it is quoted itself, or says
//     redirect_uri, which is Python's. A row over several lines, because of line
//     breaks in a quoted value, is refused if one of these lines alone would be a
//     row. A quotation mark inside an unquoted value is always refused. The cell ""
//     is an empty cell.
//   - The text null, unless it is Scala's way to say that there is no value. That
//     is believed where everything agrees: Scala's header, no carriage return and
//     no quotation mark in the file, and no empty cell in the row, since Scala
//     writes null for each absent value. Elsewhere, as when Python's SDK has
//     written on in a file of Scala's, null may be a value: if it is none, empty
//     the cell.
//   - An id that is empty or cannot be one in a [token.OAuthToken], an expiry_time
//     that is not a number of milliseconds, and a row without any token.
//   - A row that has a column's name as that column's value: a header, or the
//     remains of one, among the rows.
//   - Two rows with one id, or two rows that a store would take for one record:
//     the same user, or the same refresh, grant or access token, under one client.
//     The error names both lines. One user under two clients is two records, and so
//     are two users who share a token.
//   - Bytes that are not UTF-8. Python, Java and Scala write in the encoding of
//     their platform, which the file does not tell.
//   - A carriage return or a NUL byte inside a row, a file over 64 MiB, a row over
//     1 MiB, an empty file.
//
// A file without a line feed at its end may have been cut off in its last value,
// and nothing tells: Node, TypeScript, PHP and Scala never write one.
//
// # Values
//
// An empty cell is an absent value. All others are taken byte for byte; ids are
// opaque text. The expiry is the instant that the file says, rounded down to a
// millisecond, also if that text is a float, as PHP's can be, and also if it is
// off: what C#'s SDK writes is ten minutes early, and an expiry that somebody wrote
// in seconds is in January 1970. Both only make for an early refresh.
package zohofile
