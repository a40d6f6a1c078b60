//! Sources as a process meets them: real files, a real S3 server, one that is away, cut, slow or somebody else's.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod file;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod load;
#[cfg(test)]
mod s3;
#[cfg(test)]
mod signed;
