import Glibc
import Platform

/// A folder for one test, with a short path since Unix sockets live in it; removed at its end with the files in it.
public final class ScratchFolder {
  /// Where it is.
  public let path: String

  /// Makes it.
  public init() throws {
    var template = Array("/tmp/muntin-test-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw SystemError.last("mkdtemp") }
    path = String(cString: made)
  }

  /// Writes a file; its path.
  public func write(_ name: String, _ text: String) throws -> String {
    let path = "\(path)/\(name)"
    guard let file = fopen(path, "w") else { throw SystemError.last("fopen") }
    fputs(text, file)
    fclose(file)
    return path
  }

  /// The names of the files in it.
  public var names: [String] { Self.names(in: path) }

  deinit {
    for name in names { unlink("\(path)/\(name)") }
    rmdir(path)
  }

  /// The names in a folder, without "." and ".."; none when it cannot be read.
  public static func names(in folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      names.append(
        withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
    }
    return names.filter { $0 != "." && $0 != ".." }
  }
}
