"""What is known of a policy, in two times: the chain of its publications, and whose are accepted."""
