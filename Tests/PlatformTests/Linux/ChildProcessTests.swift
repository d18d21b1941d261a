import Glibc
import Platform
import Testing

@Suite("A child process") struct ChildProcessTests {
  /// Waits for the child's end.
  private func end(of child: ChildProcess) throws -> ChildEnd {
    var poll = pollfd(fd: child.descriptor.raw, events: Int16(POLLIN), revents: 0)
    #expect(Glibc.poll(&poll, 1, 10_000) == 1)
    return try #require(child.reap())
  }

  private func command(_ script: String) -> ChildCommand {
    ChildCommand(program: "/bin/sh", arguments: ["-c", script], environment: [], folder: "/")
  }

  @Test("reads what it is given, else nothing")
  func input() throws {
    let ends = try UnixSocket.pair(.stream)
    let given = try ChildProcess(command("read -r line && test \"$line\" = hello"), output: 2, input: ends.second.raw)
    #expect(write(ends.first.raw, "hello\n", 6) == 6)
    #expect(try end(of: given) == .exited(0))
    #expect(try end(of: ChildProcess(command("read -r line"), output: 2)) == .exited(1))
  }
}
