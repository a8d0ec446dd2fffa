// A small highlighter: comments, strings, numbers, keywords, calls. Languages come from the
// server's own table as {name, label, comment, keywords}.

const NUMBER = /0[xXbBoO][\da-fA-F_]+\w*|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?\w*/y;
const WORD = /[\p{L}_$][\p{L}\p{N}_$]*/uy;
const ANY = { comment: "//", keywords: new Set() };

export function languagesOf(rows) {
  return new Map(rows.map((row) => [row.name, { ...row, keywords: new Set(row.keywords) }]));
}

// The language of whose keywords a text has the most; where nobody named one.
export function guess(code, languages) {
  const words = code.match(/[A-Za-z_]\w*/g) ?? [];
  const hits = ({ keywords }) => words.filter((word) => keywords.has(word)).length;
  return [...languages.values()].reduce((best, one) => (hits(one) > hits(best) ? one : best), ANY);
}

// Ends of text that begins at `at` with this quote; an unfinished one ends with its line.
function stringEnd(code, at, quote, lines) {
  let i = at + quote.length;
  while (i < code.length) {
    if (code[i] === "\\") i += 2;
    else if (code.startsWith(quote, i)) return i + quote.length;
    else if (code[i] === "\n" && !lines) return i;
    else i += 1;
  }
  return code.length;
}

function match(pattern, code, at) {
  pattern.lastIndex = at;
  return pattern.exec(code)?.[0] ?? null;
}

// Pieces [start, end, kind] in order; what has no kind is left out.
export function pieces(code, language) {
  const { name, comment, keywords } = language ?? ANY;
  const slashes = comment === "//";
  const hash = comment === "#" || name === "php";
  const found = [];
  let i = 0;
  const add = (end, kind) => {
    found.push([i, end, kind]);
    i = end;
  };
  const line = () => {
    const end = code.indexOf("\n", i);
    return end < 0 ? code.length : end;
  };
  while (i < code.length) {
    const c = code[i];
    if ((slashes && code.startsWith("//", i)) || (hash && c === "#" && code[i + 1] !== "[")) {
      add(line(), "comment");
    } else if (slashes && code.startsWith("/*", i)) {
      const end = code.indexOf("*/", i + 2);
      add(end < 0 ? code.length : end + 2, "comment");
    } else if (c === "#" && slashes && /^[ \t]*$/.test(code.slice(code.lastIndexOf("\n", i - 1) + 1, i))) {
      add(line(), "macro"); // #include and its kin
    } else if (name === "python" && /^("""|''')/.test(code.slice(i, i + 3))) {
      add(stringEnd(code, i, code.slice(i, i + 3), true), "string");
    } else if (c === '"' || c === "`" || (c === "'" && !isLifetime(code, i, name))) {
      add(stringEnd(code, i, c, c === "`"), "string");
    } else {
      const word = match(WORD, code, i);
      const number = word ? null : match(NUMBER, code, i);
      if (word) {
        const kind = keywords.has(word) ? "keyword" : code[i + word.length] === "(" ? "call" : null;
        if (kind) add(i + word.length, kind);
        else i += word.length;
      } else if (number) add(i + number.length, "number");
      else i += 1;
    }
  }
  return found;
}

const isLifetime = (code, at, name) => name === "rust" && /^'[a-z_]\w*(?!\w*')/.test(code.slice(at));
