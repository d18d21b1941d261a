import Glibc
import Platform
import Rendering
import TestSupport
import Testing

/// The answers that a process got which took a card's sandbox and tried to get out.
struct Probe {
  /// What each try was answered: 0 or a value of errno.
  let answers: [String: Int32]
  let errors: String

  init(_ mode: String, draws: Bool) throws {
    let folder = try ScratchFolder()
    _ = try folder.write("there", "there")
    let listener = try UnixSocket.listen(path: "\(folder.path)/listening", kind: .stream)
    let path = Program.path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    let result = try Program(
      [mode, draws ? "3d" : "2d", folder.path], program: "\(path)/SandboxProbe", environment: ["MUNTIN_PROBE=secret"]
    ).wait()
    var answers: [String: Int32] = [:]
    for line in result.output.split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count == 2 { answers[String(words[0])] = Int32(words[1]) }
    }
    self.answers = answers
    errors = "ended with \(result.code): \(result.errors)"
    withExtendedLifetime(listener.raw) {}
  }

  static let skipped: Comment = "libvirglrenderer, or an EGL driver, is not installed"
  /// Whether this machine can draw in 3D at all.
  static let canDraw = (try? VirglLibrary()) != nil && access("/usr/share/glvnd/egl_vendor.d", F_OK) == 0
}
