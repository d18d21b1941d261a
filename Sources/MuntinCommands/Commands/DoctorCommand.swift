import ArgumentParser
import Listing
import Supervisor

/// `muntin doctor`.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "What this machine can do for Muntin, and how it could do more.",
    discussion: """
      Tries things instead of believing in them: seals a memory file, runs a small guest in KVM, opens devices, asks \
      each QEMU in PATH for its devices. Prints for each what was found, what it means, and what would help. Exits with 1 \
      when something is missing that nothing works without. With a configuration it looks at what that names, too.

      --json prints an array of objects with the keys check, state (ok, limited, missing), found, consequence, remedy \
      (null when there is nothing to do). The checks are memory-files, sandbox, kvm, render-nodes, open-files, \
      udmabuf, dma-heaps, gbm, opengl, vulkan, libraries, qemu once for each program, and wayland once for each [[vm]] of the \
      configuration that has that key.
      """
  )

  @Argument(help: ArgumentHelp("A configuration.", valueName: "file.toml"))
  var file: String?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let configured = try file.map { ConfigurationChecks.all(try Configuration(file: $0)) } ?? []
    let findings = KernelChecks.all + BufferChecks.all + RenderingChecks.all + ProgramChecks.all + configured
    print(
      json ? JSONValue.array(findings.map(\.json)).lines : findings.map(\.text).joined(separator: "\n"))
    if findings.contains(where: { $0.check == "memory-files" && $0.state == .missing }) { throw ExitCode.failure }
  }
}
