import Testing

@testable import Supervisor

@Suite struct TOMLParserTests {
  private func parse(_ text: String) throws -> TOMLNode {
    try TOMLNode.parse(Array(text.utf8))
  }

  /// The value under keys and positions such as "a.b.0".
  private func node(_ path: String, in text: String) throws -> TOMLNode? {
    var node = try parse(text)
    for step in path.split(separator: ".") {
      switch node.value {
      case .table(let entries):
        guard let entry = entries[String(step)] else { return nil }
        node = entry
      case .array(let elements):
        guard let index = Int(step), elements.indices.contains(index) else { return nil }
        node = elements[index]
      default: return nil
      }
    }
    return node
  }

  @Test(arguments: [
    ("0", 0), ("+99", 99), ("-17", -17), ("1_000_0", 10000), ("0xDEAD_beef", 0xDEAD_BEEF), ("0o755", 0o755),
    ("0b1101", 13), ("-0", 0), ("9223372036854775807", Int.max), ("-9223372036854775808", Int.min),
  ])
  func integers(text: String, value: Int) throws {
    #expect(try node("a", in: "a = \(text)")?.value == .integer(value))
  }

  @Test(arguments: [
    ("1.0", 1.0), ("-0.5", -0.5), ("6.626e-34", 6.626e-34), ("5e+22", 5e22), ("1E06", 1e6),
    ("224_617.445_991", 224617.445991),
    ("inf", .infinity), ("-inf", -.infinity),
  ])
  func floats(text: String, value: Double) throws {
    #expect(try node("a", in: "a = \(text)")?.value == .float(value))
  }

  @Test(arguments: [
    "1979-05-27T07:32:00Z", "1979-05-27T00:32:00.999999-07:00", "1979-05-27 07:32:00", "1979-05-27", "07:32:00",
  ])
  func datesAreKnownAsDates(text: String) throws {
    #expect(try node("a", in: "a = \(text) # comment\nb = 1")?.value == .date)
  }

  @Test(arguments: [
    (#""""#, ""), (#""a\tb\"c\\d""#, "a\tb\"c\\d"), (#""\u00e9\U0001F600""#, "é😀"), (#"'C:\n'"#, #"C:\n"#),
    ("\"\"\"\nfirst\nsecond\"\"\"", "first\nsecond"), ("\"\"\"a \\\n\n   b\"\"\"", "a b"),
    ("\"\"\"\"quoted\"\"\"\"\"", "\"quoted\"\""), ("'''\n''it's'''''", "''it's''"), ("\"\"\"a\r\nb\"\"\"", "a\nb"),
  ])
  func strings(text: String, value: String) throws {
    #expect(try node("a", in: "a = \(text)")?.value == .string(value))
  }

  @Test func dottedAndQuotedKeysMakeTables() throws {
    let text = "a.b.c = 1\n\"a\".'d' . \"\\u0065\" = 2\n[x.\"y.z\"]\nw = 3"
    #expect(try node("a.b.c", in: text) == TOMLNode(line: 1, value: .integer(1)))
    #expect(try node("a.d.e", in: text) == TOMLNode(line: 2, value: .integer(2)))
    guard case .table(let entries)? = try node("x", in: text)?.value else {
      throw TOMLSyntaxError(line: 0, message: "")
    }
    #expect(entries["y.z"]?.line == 3)
  }

  @Test func eachTableOfAnArrayHasItsLine() throws {
    let text = "[[v]]\nn = 1\n[[v.s]]\nx = 1\n[[v.s]]\nx = 2\n[[v]]\n[[v.s]]\nx = 3\n[v.t]\ny = 4"
    #expect(try node("v.0.s.1.x", in: text) == TOMLNode(line: 6, value: .integer(2)))
    #expect(try node("v.1.s.0.x", in: text) == TOMLNode(line: 9, value: .integer(3)))
    #expect(try node("v.1.t.y", in: text)?.line == 11)
    #expect(try node("v.1", in: text)?.line == 7)
  }

  @Test func textInStringsAndCommentsIsNotTakenForKeys() throws {
    let text = "a = \"\"\"\nb = 1 \\\"\"\"\" # c = 1\n# d = 1\ne = '''\n[x]\n''''' \nf = \"\\\"#\"\nb = 2\nd = 3"
    #expect(try node("b", in: text)?.line == 8)
    #expect(try node("d", in: text)?.line == 9)
    #expect(try node("f", in: text)?.value == .string("\"#"))
    #expect(try node("c", in: text) == nil)
  }

  @Test func elementsOfArraysAndInlineTablesHaveTheirLines() throws {
    let text = "a = [ # one\n 1, [2,\n3], { b = [4,\n5], c = 6 },\n]\nd = {e.f = 1, g = 2}"
    #expect(try node("a.1.1", in: text)?.line == 3)
    #expect(try node("a.2.b.1", in: text)?.line == 4)
    #expect(try node("a.2.c", in: text)?.line == 4)
    #expect(try node("d.e.f", in: text)?.line == 6)
  }

  @Test func aHeaderMayFollowTheTableInsideIt() throws {
    let text = "[a.b]\nx = 1\n[a]\ny = 2"
    #expect(try node("a.b.x", in: text)?.value == .integer(1))
    #expect(try node("a.y", in: text)?.value == .integer(2))
  }

  /// Each with the line of its error.
  @Test(arguments: [
    ("a", 1), ("a =", 1), ("a = \n1", 1), ("= 1", 1), ("a = 1 b = 2", 1), ("a b = 1", 1), ("a. = 1", 1), ("a = 1\r", 1),
    ("\n[a", 2), ("[]", 1), ("[a]]", 1), ("[[a]", 1), ("[ [a]]", 1), ("[a] b", 1), ("[a.]", 1),
    ("a = 1\na = 2", 2), ("[a]\n[a]", 2), ("a.b = 1\n[a]", 2), ("[[a]]\n[a]", 2), ("[a]\n[[a]]", 2),
    ("a = []\n[[a]]", 2),
    ("a = {}\n[a.b]", 2), ("a = {}\na.b = 1", 2), ("a = {b = 1, b = 2}", 1), ("[a.b]\n[a]\nb = 1", 3),
    ("a = 1\na.b = 2", 2),
    ("a = [1", 1), ("a = [1 2]", 1), ("a = [,]", 1), ("a = [1\n\n", 3), ("a = {b = 1,}", 1), ("a = {b = 1\n}", 1),
    ("a = {,}", 1),
    ("a = \"b", 1), ("a = \"b\nc\"", 1), ("a = 'b", 1), ("a = \"\"\"\n\n", 3), ("a = \"\\q\"", 1), ("a = \"\\u12\"", 1),
    ("a = \"\\uD800\"", 1), ("a = \"\\U00110000\"", 1), ("a = \"\\UFFFFFFFF\"", 1), ("a = \"\u{1}\"", 1),
    ("a = 'x\u{7F}'", 1),
    ("# \u{1}", 1), ("\0", 1), ("a = 01", 1), ("a = 1_", 1), ("a = _1", 1), ("a = 1__0", 1), ("a = 0x", 1),
    ("a = +0x1", 1),
    ("a = 0xG", 1), ("a = 9223372036854775808", 1), ("a = 1.", 1), ("a = .5", 1), ("a = 1e", 1), ("a = 1.e5", 1),
    ("a = +-1", 1),
    ("a = True", 1), ("a = yes", 1), ("a = 1 # ok\nb = ١", 2), ("é = 1", 1), ("a = \"\"\"\"\"\"\"\"\"", 1),
  ])
  func wrongTextIsRefused(text: String, line: Int) {
    let failure = #expect(throws: TOMLSyntaxError.self) { try parse(text) }
    #expect(failure?.line == line, "\(text.debugDescription): \(failure?.message ?? "accepted")")
  }

  @Test func aMessageSaysWhatStandsThere() {
    let failure = #expect(throws: TOMLSyntaxError.self) { try parse("size = 1920x720") }
    #expect(failure?.message == "\"1920x720\" is no value; text needs quotes")
    let second = #expect(throws: TOMLSyntaxError.self) { try parse("a = 1\n\n[a b]") }
    #expect(second?.message == "\"]\" should stand before \"b]\"")
  }
}
