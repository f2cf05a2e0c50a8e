# Reads one JSON document and prints the RFC 8785 form of its {Body, Header}, then Hash, Signature and the name of its key.
#
#   LC_ALL=C awk -v out=FILE -f canonical.awk MESSAGE
#
# The canonical bytes go to `out`; what is printed are three lines. POSIX awk alone, on bytes. Written from the protocol
# and the RFC, and from nothing else of this project. Strings are taken as they are written: it is for messages whose
# strings are escaped no more than they must be, as RFC 8785 §3.2.2.2 has it, and refuses others.

BEGIN { RS = "\001"; HIGHEST_EXACT = "9007199254740991" }

function refuse(why) { print "cannot read it: " why > "/dev/stderr"; failed = 1; exit 2 }

function skip_space() { if (match(rest, /^[ \t\r\n]+/)) rest = substr(rest, RLENGTH + 1) }

function expect(character) {
    skip_space()
    if (substr(rest, 1, 1) != character) refuse("a " character " is missing")
    rest = substr(rest, 2)
}

# A string with its quotes, as it is written.
function text(    taken, escapes) {
    skip_space()
    if (!match(rest, /^"([^"\\]|\\.)*"/)) refuse("a string is missing")
    taken = escapes = substr(rest, 1, RLENGTH)
    rest = substr(rest, RLENGTH + 1)
    gsub(/\\[\\"bfnrt]/, "", escapes)
    gsub(/\\u000[0-7be]|\\u000f|\\u001[0-9a-f]/, "", escapes)
    if (escapes ~ /\\/) refuse("a string is escaped more than it must be")
    return taken
}

# What a name is sorted by: UTF-16 units. Bytes of UTF-8 sort alike, but for what is beyond the Basic Multilingual
# Plane, whose surrogates stand between U+D7FF and U+E000.
function sort_key(name) {
    if (name ~ /\\/) refuse("a name is escaped, which this reader does not sort")
    gsub(/[\360-\364]/, "\355\377&", name)
    return substr(name, 2, length(name) - 2)
}

# The shortest digits of a double as ECMAScript writes them (RFC 8785 §3.2.2.3).
function number(    taken, sign, digits, whole, fraction, exponent, point) {
    match(rest, /^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?/)
    if (RLENGTH < 1) refuse("a value is missing")
    taken = substr(rest, 1, RLENGTH)
    rest = substr(rest, RLENGTH + 1)
    if (sub(/^-/, "", taken)) sign = "-"
    exponent = 0
    if (match(taken, /[eE]/)) { exponent = substr(taken, RSTART + 1) + 0; taken = substr(taken, 1, RSTART - 1) }
    whole = taken; sub(/\..*/, "", whole)
    fraction = ""
    if (taken ~ /\./) { fraction = taken; sub(/.*\./, "", fraction) }
    digits = whole fraction
    point = length(whole) + exponent
    while (digits ~ /^0./) { digits = substr(digits, 2); point-- }
    sub(/0+$/, "", digits)
    if (digits == "") return "0"
    if (length(digits) > 17) refuse("a number has more digits than a double")
    if (fraction == "" && exponent == 0 && (length(whole) > 16 || (length(whole) == 16 && "x" whole > "x" HIGHEST_EXACT)))
        refuse("an integer is beyond what a double holds exactly")
    if (point > 21 || point < -5) {
        if (length(digits) > 1) digits = substr(digits, 1, 1) "." substr(digits, 2)
        return sign digits "e" (point > 0 ? "+" : "-") (point > 0 ? point - 1 : 1 - point)
    }
    while (length(digits) < point) digits = digits "0"
    if (length(digits) == point) return sign digits
    if (point > 0) return sign substr(digits, 1, point) "." substr(digits, point + 1)
    while (point < 0) { digits = "0" digits; point++ }
    return sign "0." digits
}

# The canonical form of the value that comes next. `top` is 1 for the message itself.
function value(top,    first, word) {
    skip_space()
    first = substr(rest, 1, 1)
    if (first == "{") return object(top)
    if (first == "[") return list()
    if (first == "\"") return text()
    if (match(rest, /^(true|false|null)/)) {
        word = substr(rest, 1, RLENGTH)
        rest = substr(rest, RLENGTH + 1)
        return word
    }
    return number()
}

function list(    made, comma) {
    expect("["); skip_space()
    while (substr(rest, 1, 1) != "]") {
        if (comma) expect(",")
        made = made comma value(0)
        comma = ","
        skip_space()
    }
    expect("]")
    return "[" made "]"
}

function object(top,    count, names, keys, values, i, j, name, member, key, made) {
    expect("{"); skip_space()
    while (substr(rest, 1, 1) != "}") {
        if (count) expect(",")
        name = text(); expect(":"); member = value(0)
        if (top && name == "\"Header\"") header = member
        if (top && name == "\"Body\"") body = member
        if (top && name == "\"Hash\"") hash = member
        if (top && name == "\"Signature\"") signature = member
        key = "x" sort_key(name)  # a letter before it: compared as text, never as a number
        for (i = count++; i > 0 && keys[i - 1] > key; i--) {
            keys[i] = keys[i - 1]; names[i] = names[i - 1]; values[i] = values[i - 1]
        }
        if (i > 0 && keys[i - 1] == key) refuse("a name stands twice: " name)
        keys[i] = key; names[i] = name; values[i] = member
        skip_space()
    }
    expect("}")
    for (j = 0; j < count; j++) made = made (j ? "," : "") names[j] ":" values[j]
    return "{" made "}"
}

# A member of the canonical Header whose value is a plain string.
function of_header(name,    pattern, found) {
    pattern = "[{,]\"" name "\":\"[^\"\\\\]*\""
    if (!match(header, pattern)) return ""
    found = substr(header, RSTART, RLENGTH)
    sub(/^.*":"/, "", found); sub(/"$/, "", found)
    return found
}

{
    rest = $0
    value(1); skip_space()
    if (rest != "") refuse("something follows the message")
    if (header == "" || body == "") refuse("no Header, or no Body")
    printf "{\"Body\":%s,\"Header\":%s}", body, header > out
    gsub(/"/, "", hash); gsub(/"/, "", signature)
    selector = of_header("DKIM"); branch = ""
    if (of_header("Schema") != "") { selector = of_header("Selector"); branch = "pw." }
    print hash
    print signature
    print selector "._domainkey." branch of_header("From")
}
