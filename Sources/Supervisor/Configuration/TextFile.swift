import Glibc
import Platform

/// Small files and their paths.
package enum TextFile {
  /// The whole file; one that is larger than `limit` bytes is an error.
  package static func read(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
    let raw = open(path, O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { throw .last("open \(path)") }
    let file = FileDescriptor(adopting: raw)
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16384)
    while true {
      let count = Glibc.read(file.raw, &chunk, chunk.count)
      if count == 0 { return content }
      if count < 0 {
        if errno == EINTR { continue }
        throw .last("read \(path)")
      }
      content.append(contentsOf: chunk[..<count])
      guard content.count <= limit else { throw SystemError(call: "read \(path)", code: EFBIG) }
    }
  }

  /// The folder that a file is in, absolute.
  package static func folder(of path: String) -> String {
    let path = absolute(path, in: currentFolder)
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
    return String(path[..<slash])
  }

  /// `path` itself when it is absolute, else the path from `folder`, without "." steps.
  package static func absolute(_ path: String, in folder: String) -> String {
    guard !path.hasPrefix("/") else { return path }
    let steps = path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    return folder == "/" ? "/" + steps : folder + "/" + steps
  }

  /// Where relative paths of the command line begin.
  package static var currentFolder: String {
    guard let name = getcwd(nil, 0) else { return "/" }
    defer { free(name) }
    return String(cString: name)
  }
}
