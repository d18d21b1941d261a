import Buffers
import Glibc
import HubProtocol
import Platform

/// A command that is run for each update of an imported buffer.
struct UpdateCommand {
  let text: String

  /// Runs it to its end in a shell, which finds out about the update from its environment.
  func run(_ update: BufferUpdate, of info: BufferInfo) throws(GuestError) {
    let damage = update.damage
    let facts = [
      "MUNTIN_BUFFER=\(info.buffer.id)", "MUNTIN_NAME=\(info.name?.text ?? "")", "MUNTIN_OWNER=\(info.owner)",
      "MUNTIN_GENERATION=\(update.generation)", "MUNTIN_SIZE=\(info.buffer.layout.size)",
      "MUNTIN_DAMAGE=\(damage.x) \(damage.y) \(damage.width) \(damage.height)",
    ]
    let status = try run(facts)
    guard status == 0 else { throw .command(status: status) }
  }

  private func run(_ facts: [String]) throws(GuestError) -> Int32 {
    let arguments = Self.copies(["sh", "-c", text])
    let variables = Self.copies(Self.environment + facts)
    defer { for copy in arguments + variables { free(copy) } }
    var pid: pid_t = 0
    let failure = posix_spawn(&pid, "/bin/sh", nil, nil, arguments, variables)
    guard failure == 0 else { throw .system(SystemError(call: "start /bin/sh", code: failure)) }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 {
      guard errno == EINTR else { throw .system(.last("wait for /bin/sh")) }
    }
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
  }

  private static func copies(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
    texts.map { strdup($0) } + [nil]
  }

  private static var environment: [String] {
    var variables: [String] = []
    var next = environ
    while let variable = next.pointee {
      variables.append(String(cString: variable))
      next += 1
    }
    return variables
  }
}
