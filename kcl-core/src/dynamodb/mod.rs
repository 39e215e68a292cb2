//! Lease and fleet store in a DynamoDB table, in the format of KCL 3.5.
