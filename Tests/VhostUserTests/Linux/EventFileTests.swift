import Testing

@Suite("doorbells that are eventfds") struct EventFileTests {
  @Test("a call or error descriptor that is a pipe is refused: it could be full, or raise SIGPIPE")
  func pipe() throws {
    let bench = try Bench()
    try bench.start()
    let tracer = try Tracer()
    try bench.refusesBells([tracer.raw])
    #expect(try bench.echoes())
  }
}
