import ArgumentParser
import Listing

/// `muntin doctor`.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "What this machine can do for Muntin, and how it could do more.",
    discussion: """
      Tries things instead of believing in them: seals a memory file, runs a small guest in KVM, opens devices, asks \
      each QEMU in PATH for its devices. Prints for each what was found, what it means, and what would help. Exits with 1 \
      when something is missing that nothing works without.

      --json prints an array of objects with the keys check, state (ok, limited, missing), found, consequence, remedy \
      (null when there is nothing to do). The checks are memory-files, kvm, render-nodes, open-files, udmabuf, \
      dma-heaps, gbm, opengl, vulkan, libraries, and qemu once for each program.
      """
  )

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let findings = KernelChecks.all + BufferChecks.all + RenderingChecks.all + ProgramChecks.all
    print(
      json ? JSONValue.array(findings.map(\.json)).lines : findings.map(\.text).joined(separator: "\n"))
    if findings.contains(where: { $0.check == "memory-files" && $0.state == .missing }) { throw ExitCode.failure }
  }
}
